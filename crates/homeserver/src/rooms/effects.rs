//! What follows from an event: in the database with it, in memory once it is durable.

use std::sync::Arc;

use rules::{event::Event, power_levels::PowerLevels, redaction, state_tree::Root};
use ruma::{OwnedUserId, UserId, events::room::member::MembershipState};
use serde::Deserialize;
use store::{
    PosRef, Positions, delayed_events::Outcome, events::NewEvent, members::NewMember, relations::AGGREGATED,
};

use super::{
    chain::Chain, intent::Txn, memory::Room, relations::RelatesTo, show::Written, state,
    timeline::TimelineEvent,
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// An event that is about to be stored.
pub(super) struct Effect {
    /// Its position.
    pub(super) pos: PosRef,
    /// The event.
    pub(super) event: Arc<Event>,
    /// The state after it.
    pub(super) root: Root,
    /// The state event whose place it takes.
    pub(super) replaced: Option<Arc<Event>>,
    /// The event it redacts, pruned.
    pub(super) redacted: Option<Arc<Event>>,
    /// The transaction it was asked with.
    pub(super) txn: Option<Txn>,
    /// How it points to another event.
    pub(super) relation: RelatesTo,
}

/// What a member event says, as far as the store keeps it beside the event. Lenient: what is not
/// text counts as absent, for the authorization rules do not look at it.
#[derive(Deserialize)]
pub(super) struct MemberContent {
    pub(super) membership: MembershipState,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(super) displayname: Option<String>,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(super) avatar_url: Option<String>,
}

/// Reads a text; what is none counts as absent.
pub(super) fn text_or_nothing<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(from)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

/// What remains of the event that `redaction` redacts.
///
/// # Errors
/// `M_NOT_FOUND` if the room has no such event, `M_FORBIDDEN` if it is another's and the sender has
/// not the power, or if the room would break without it.
pub(super) async fn redacted(
    home: &Home,
    chain: &Chain,
    redaction: &Event,
    by_administrator: bool,
) -> Answer<Arc<Event>> {
    let unknown = || Refusal::not_found("There is no such event in the room");
    let (target, room) = redaction.redacts().zip(chain.room()).ok_or_else(unknown)?;
    let stored = store::events::by_id(&home.db, target.as_str()).await?;
    stored.filter(|stored| stored.room == room.key).ok_or_else(unknown)?;
    let event = state::event_by_id(home, room, target).await?;
    if matches!(event.state_place(), Some(("m.room.create" | "m.room.server_acl", ""))) {
        let message = format!("{} can not be redacted: the room would break", event.event_type());
        return Err(Refusal::forbidden(message));
    }
    let sender = redaction.sender();
    let is_ours = event.sender().server_name() == home.server_name();
    if event.sender() != sender && !(by_administrator && is_ours) {
        let create = chain.state("m.room.create", "").await?.ok_or_else(unknown)?;
        let levels = chain.state("m.room.power_levels", "").await?;
        let levels = PowerLevels::of(&create, levels.as_deref(), chain.rules)?;
        if levels.user(sender) < levels.redact().into() {
            return Err(Refusal::forbidden(format!(
                "{sender} may redact only their own events: it takes power level {}",
                levels.redact()
            )));
        }
    }
    let pruned = redaction::redacted(event.json(), chain.rules)?;
    Ok(Arc::new(Event::parse(target.to_owned(), pruned.into(), chain.rules)?))
}

/// Adds to the chain's batch what is stored with an event.
pub(super) fn store(home: &Home, chain: &mut Chain, effect: &Effect) -> Answer<()> {
    let Effect { pos, event, .. } = effect;
    let room = chain.room_key();
    let (event_id, sender) = (event.event_id().as_str(), event.sender().as_str());
    let now_ms = home.clock.now_ms();
    if let Some(txn) = effect.txn.as_ref().filter(|txn| Txn::is_delay(&txn.device_id)) {
        let sent = Outcome::Sent(event_id.to_owned());
        store::delayed_events::finalise(&mut chain.batch, txn.txn_id.as_str(), sent, now_ms);
    } else if let Some(txn) = &effect.txn {
        store::txns::claim(&mut chain.batch, txn.key_of(event.sender()), *pos, now_ms);
    }
    let new = NewEvent {
        room: room.clone(),
        event_id,
        event_type: event.event_type(),
        state_key: event.state_key(),
        sender,
        origin_server_ts: u64::from(event.origin_server_ts().0).try_into().unwrap_or(i64::MAX),
        json: event.json().clone(),
        state_root: effect.root.as_bytes(),
        replaces: effect.replaced.as_ref().map(|event| event.event_id().as_str()),
        txn: effect.txn.as_ref().map(|txn| (txn.device_id.as_str(), txn.txn_id.as_str())),
    };
    store::events::append(&mut chain.batch, *pos, new);
    if let Some(pruned) = &effect.redacted {
        let target = pruned.event_id().as_str();
        store::events::redact(&mut chain.batch, target, pruned.json().clone(), event_id);
        store::relations::remove(&mut chain.batch, room.clone(), target);
        if pruned.event_type() == "m.room.member" {
            store::members::unname(&mut chain.batch, room.clone(), target);
        }
    }
    if event.event_type() == "m.room.member" && event.state_key().is_some() {
        store_member(chain, effect)?;
    }
    if let RelatesTo { rel_type: Some(rel_type), event_id: Some(event_id), .. } = &effect.relation {
        let points_to = (event_id.as_str(), rel_type.as_str());
        store::relations::add(&mut chain.batch, room, *pos, points_to, event.event_type(), sender);
    }
    Ok(())
}

fn store_member(chain: &mut Chain, effect: &Effect) -> Answer<()> {
    let event = &effect.event;
    let content: MemberContent = event.content_as()?;
    let before = effect.replaced.as_ref().map(|event| event.content_as::<MemberContent>()).transpose()?;
    let before = before.map(|content| content.membership);
    let count = |wanted: MembershipState| {
        i64::from(content.membership == wanted) - i64::from(before.as_ref() == Some(&wanted))
    };
    chain.joined += count(MembershipState::Join);
    chain.invited += count(MembershipState::Invite);
    let room = chain.room_key();
    let member = NewMember {
        user_id: event.state_key().unwrap_or_default(),
        room,
        membership: content.membership.as_str(),
        event_id: event.event_id().as_str(),
        sender: event.sender().as_str(),
        display_name: content.displayname.as_deref(),
        avatar_url: content.avatar_url.as_deref(),
    };
    store::members::set(&mut chain.batch, effect.pos, member);
    Ok(())
}

/// Brings into memory what is durable now, and whom it concerns. Runs on the writer, in the order of
/// positions, before anybody can see them.
pub(super) fn happened(
    home: &Home,
    room: &Arc<Room>,
    (effects, concerned): (Vec<Effect>, &[OwnedUserId]),
    at: &Positions,
) {
    let mut upto = 0;
    for Effect { pos, event, root, replaced, redacted, txn, relation } in effects {
        upto = at.at(pos);
        home.rooms.events.insert(event.event_id().to_owned(), event.clone());
        if let Some(pruned) = redacted {
            home.rooms.replace(&pruned);
            room.tail.redact(&pruned, event.event_id());
            if let Some(("m.room.member", user)) = pruned.state_place()
                && let Ok(user) = UserId::parse(user)
            {
                home.rooms.memberships.changed(&user);
            }
        }
        if event.event_type() == "m.room.member"
            && let Some(user) = event.state_key().and_then(|user| UserId::parse(user).ok())
            && let Ok(content) = event.content_as::<MemberContent>()
        {
            let here = user.server_name() == home.server_name();
            if here {
                room.set_joined_here(&user, content.membership == MembershipState::Join);
                home.rooms.memberships.changed(&user);
            }
        }
        if let RelatesTo { rel_type: Some(rel_type), event_id: Some(event_id), .. } = relation
            && AGGREGATED.contains(&&*rel_type)
        {
            room.tail.mark(&event_id);
        }
        room.tail.push(Arc::new(TimelineEvent {
            pos: upto,
            event,
            root,
            replaces: replaced.map(|event| event.event_id().to_owned()),
            redacted_by: None,
            txn: txn.map(|txn| (txn.device_id, txn.txn_id)),
            hidden: false,
            has_children: false,
            written: Written::default(),
        }));
    }
    home.rooms.changed(room.key, upto);
    home.pushers.happened(room, upto, concerned);
}

/// The users of this server whom events concern beside the members of their room: who was invited, say.
pub(super) fn concerned(home: &Home, effects: &[Effect]) -> Vec<OwnedUserId> {
    let members = effects.iter().filter_map(|effect| match effect.event.state_place() {
        Some(("m.room.member", user)) => UserId::parse(user).ok(),
        _ => None,
    });
    members.filter(|user| user.server_name() == home.server_name()).collect()
}

//! `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: what a state event needs beyond
//! the authorization rules.

use std::{collections::HashSet, sync::Arc};

use rules::authorization;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedUserId, RoomAliasId, UserId,
    events::room::member::MembershipState,
};

use super::{
    Chain, Intent, Room, Txn, append,
    chain::{ATTEMPTS_MAX, Failed},
    membership::{self, Change, Move},
    state,
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Aliases that one event may add.
const NEW_ALIASES_MAX: usize = 100;

/// Guests sent away at once when a room closes to them.
const GUESTS_MAX: i64 = 1_000;

/// Sets a state event and answers its id; that of the one that is there, if it says the same.
///
/// # Errors
/// `M_FORBIDDEN` with the reason, `M_BAD_ALIAS`, `M_INVALID_PARAM`, `M_BAD_JSON`, `M_TOO_LARGE`.
pub async fn set_state(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    (event_type, state_key): (&str, &str),
    content: CanonicalJsonObject,
) -> Answer<OwnedEventId> {
    set_state_once(home, who, room, (event_type, state_key), content, None).await
}

/// [`set_state`] in a transaction. Memberships, and closing a room to guests, can be repeated and happen
/// without one.
pub(super) async fn set_state_once(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    (event_type, state_key): (&str, &str),
    content: CanonicalJsonObject,
    txn: Option<Txn>,
) -> Answer<OwnedEventId> {
    if event_type == "m.room.member" {
        return set_member(home, who, room, state_key, content).await;
    }
    who.may_act()?;
    match (event_type, state_key) {
        ("m.room.create", _) => {
            return Err(Refusal::forbidden("A room is created once: m.room.create can not be changed"));
        }
        ("m.room.canonical_alias", "") => check_aliases(home, room, &content).await?,
        ("m.room.guest_access", "") if !says(&content, "guest_access", "can_join") => {
            return close_to_guests(home, who, room, content).await;
        }
        _ => {}
    }
    append(home, room, Intent { txn, ..Intent::state(who.user(), event_type, state_key, content) }).await
}

fn says(content: &CanonicalJsonObject, key: &str, value: &str) -> bool {
    content.get(key).and_then(CanonicalJsonValue::as_str) == Some(value)
}

/// A membership set as state is the same as the membership set by its own endpoint.
async fn set_member(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    user: &str,
    content: CanonicalJsonObject,
) -> Answer<OwnedEventId> {
    let target = UserId::parse(user)
        .map_err(|_| Refusal::invalid_param("The state key of m.room.member is a user id"))?;
    let membership = content.get("membership").and_then(CanonicalJsonValue::as_str);
    let then = match membership.map(MembershipState::from) {
        Some(MembershipState::Join) => Move::Stay,
        Some(MembershipState::Invite) => Move::Invite,
        Some(MembershipState::Leave) if target == who.user_id => Move::Leave,
        Some(MembershipState::Leave) => Move::Remove,
        Some(MembershipState::Ban) => Move::Ban,
        Some(MembershipState::Knock) => Move::Knock,
        _ => return Err(Refusal::bad_json("`membership` is join, invite, knock, leave or ban")),
    };
    membership::change_to(home, who, room, Change { then, target, content, signed: None, txn: None }).await
}

/// Aliases that an event adds must lead to its room. Those that are there already are not looked at.
async fn check_aliases(home: &Home, room: &Room, content: &CanonicalJsonObject) -> Answer<()> {
    let root = room.head(home).await?.root;
    let before = state::event(home, room, root, "m.room.canonical_alias", "").await?;
    let before = before.and_then(|event| event.content_as::<CanonicalJsonObject>().ok()).unwrap_or_default();
    let before: HashSet<String> = aliases_in(&before).unwrap_or_default().into_iter().collect();
    let mut new = aliases_in(content)?;
    new.retain(|alias| !before.contains(alias));
    if new.len() > NEW_ALIASES_MAX {
        return Err(Refusal::too_large(format!("An event may add {NEW_ALIASES_MAX} aliases")));
    }
    for alias in new {
        let alias = <&RoomAliasId>::try_from(&*alias)
            .map_err(|_| Refusal::invalid_param(format!("{alias:?} is not a room alias")))?;
        let leads_to = store::aliases::get(&home.db, alias.as_str()).await?;
        if leads_to.is_none_or(|leads_to| leads_to.room != room.key) {
            return Err(Refusal::bad_alias(format!("{alias} does not lead to this room")));
        }
    }
    Ok(())
}

/// `alias` and `alt_aliases` of an m.room.canonical_alias event.
fn aliases_in(content: &CanonicalJsonObject) -> Answer<Vec<String>> {
    let bad = || Refusal::bad_json("`alias` is a room alias, `alt_aliases` a list of room aliases");
    let text = |value: &CanonicalJsonValue| value.as_str().map(str::to_owned).ok_or_else(bad);
    let alias = content.get("alias").filter(|value| **value != CanonicalJsonValue::Null);
    // Clients take an alias away by an empty one.
    let alias = alias.map(text).transpose()?.filter(|alias| !alias.is_empty());
    let others = match content.get("alt_aliases") {
        None | Some(CanonicalJsonValue::Null) => &[],
        Some(CanonicalJsonValue::Array(others)) => &**others,
        Some(_) => return Err(bad()),
    };
    alias.map(Ok).into_iter().chain(others.iter().map(text)).collect()
}

/// Guests leave a room that no longer lets them join.
async fn close_to_guests(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    content: CanonicalJsonObject,
) -> Answer<OwnedEventId> {
    for _ in 0..ATTEMPTS_MAX {
        let guests = store::members::guests(&home.db, room.key, GUESTS_MAX).await?;
        let mut chain = Chain::on(home, room).await?;
        let intent = Intent::state(who.user(), "m.room.guest_access", "", content.clone());
        let event_id = chain.push(intent).await?;
        for guest in guests.into_iter().filter_map(|guest| OwnedUserId::try_from(guest).ok()) {
            let content = membership::content(home, &guest, &MembershipState::Leave).await?;
            // Who is on the way out need not leave.
            let member = chain.state("m.room.member", guest.as_str()).await?;
            let member = member.map(|event| authorization::membership_of(&event)).transpose()?;
            if member == Some(MembershipState::Join) {
                chain.push(Intent::state(&guest, "m.room.member", guest.as_str(), content)).await?;
            }
        }
        match chain.commit().await {
            Ok(_) => return Ok(event_id),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

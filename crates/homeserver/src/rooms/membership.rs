//! Coming and going: every change of a membership, whichever endpoint asks for it.
//!
//! The authorization rules of the room decide; what is added here is what they leave to the server:
//! which changes are none, what a member event carries, whom a restricted room admits.

use std::sync::Arc;

use rules::{canonical, power_levels::PowerLevels};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomId, OwnedUserId, RoomId, RoomOrAliasId, UserId,
    events::room::member::MembershipState,
};
use serde::Deserialize;
use store::Batch;

use super::{
    Chain, Intent, Room, Txn,
    chain::{self, ATTEMPTS_MAX, Failed},
    effects::MemberContent,
    memory, moving, third_party,
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    settings,
    who::{Device, Kind},
};

/// Rooms whose members a restricted room may admit; what stands after them in the list is ignored.
const ALLOWED_ROOMS_MAX: usize = 64;

/// Members asked whether they may invite, when one must authorise a join.
const AUTHORISING_MAX: usize = 16;

/// Bytes of a reason.
const REASON_BYTES_MAX: usize = 4_096;

/// What is to become of somebody in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// `POST /rooms/{roomId}/join`
    Join,
    /// `POST /rooms/{roomId}/invite`
    Invite,
    /// `POST /rooms/{roomId}/leave`: also rejects an invite and takes back a knock.
    Leave,
    /// `POST /rooms/{roomId}/kick`: also takes back an invite and rejects a knock.
    Kick,
    /// `POST /rooms/{roomId}/ban`
    Ban,
    /// `POST /rooms/{roomId}/unban`
    Unban,
    /// `POST /knock/{roomIdOrAlias}`
    Knock,
    /// `join` set as state: joins, or says something new of who is joined.
    Stay,
    /// `leave` set as state for somebody else: a kick or the end of a ban, whichever it can be.
    Remove,
}

impl Move {
    /// The membership that it leads to.
    pub fn membership(self) -> MembershipState {
        match self {
            Move::Join | Move::Stay => MembershipState::Join,
            Move::Invite => MembershipState::Invite,
            Move::Leave | Move::Kick | Move::Unban | Move::Remove => MembershipState::Leave,
            Move::Ban => MembershipState::Ban,
            Move::Knock => MembershipState::Knock,
        }
    }

    /// Whether nothing is left to do for who has the membership `before`.
    fn is_done(self, before: Option<&MembershipState>, target: &UserId) -> Answer<bool> {
        use MembershipState::{Ban, Join, Leave};
        match (self, before) {
            (Move::Join, Some(Join)) | (Move::Leave, Some(Leave)) => Ok(true),
            (Move::Leave, None) => Err(Refusal::forbidden("You are not in that room")),
            (Move::Kick | Move::Remove, None | Some(Leave)) => {
                Err(Refusal::forbidden(format!("{target} is not in the room")))
            }
            (Move::Kick, Some(Ban)) => Err(Refusal::forbidden(format!("{target} is banned already"))),
            (Move::Unban, Some(Ban)) => Ok(false),
            (Move::Unban, _) => {
                Err(Refusal::new(403, "M_BAD_STATE", format!("{target} is not banned from the room")))
            }
            _ => Ok(false),
        }
    }
}

/// A change of a membership.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happens.
    pub then: Move,
    /// To whom.
    pub target: OwnedUserId,
    /// The content of the member event: from [`content`], or from a client.
    pub content: CanonicalJsonObject,
    /// The proof that a third-party invite is for who joins: see [`third_party::signed`].
    pub signed: Option<CanonicalJsonObject>,
    /// The transaction it is asked for in.
    pub txn: Option<Txn>,
}

/// What a client says beside who is to be moved where.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// Why.
    pub reason: Option<String>,
    /// The transaction it is asked for in.
    pub txn: Option<Txn>,
}

impl From<Option<String>> for Aside {
    fn from(reason: Option<String>) -> Self {
        Aside { reason, txn: None }
    }
}

/// What a member event says by itself: the membership, and for who comes the name and picture of the
/// profile.
///
/// # Errors
/// If the database does not answer.
pub async fn content(
    home: &Home,
    user: &UserId,
    membership: &MembershipState,
) -> Answer<CanonicalJsonObject> {
    let mut content = CanonicalJsonObject::new();
    let comes =
        matches!(membership, MembershipState::Join | MembershipState::Invite | MembershipState::Knock);
    if comes && user.server_name() == home.server_name() {
        for (field, value) in store::profiles::get(&home.db, user.as_str()).await? {
            if matches!(&*field, "displayname" | "avatar_url")
                && let Ok(value @ CanonicalJsonValue::String(_)) =
                    canonical::canonical_value(value.as_bytes())
            {
                content.insert(field, value);
            }
        }
    }
    content.insert("membership".to_owned(), membership.as_str().into());
    Ok(content)
}

/// Moves `target` in `room`, as `who` wants it.
///
/// # Errors
/// `M_FORBIDDEN` with the reason, `M_BAD_STATE` for the end of a ban that is none.
pub async fn change_as(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    then: Move,
    target: &UserId,
    aside: Aside,
) -> Answer<()> {
    let content = content_with(home, target, then, aside.reason).await?;
    let change = Change { then, target: target.to_owned(), content, signed: None, txn: aside.txn };
    change_to(home, who, room, change).await.map(drop)
}

/// Lets `who` join `room`; with `signed` also who was invited by an address.
///
/// # Errors
/// As [`change_as`].
pub async fn join(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    aside: Aside,
    signed: Option<CanonicalJsonObject>,
) -> Answer<()> {
    let content = content_with(home, who.user(), Move::Join, aside.reason).await?;
    let change = Change { then: Move::Join, target: who.user_id.clone(), content, signed, txn: aside.txn };
    change_to(home, who, room, change).await.map(drop)
}

async fn content_with(
    home: &Home,
    target: &UserId,
    then: Move,
    reason: Option<String>,
) -> Answer<CanonicalJsonObject> {
    let mut content = content(home, target, &then.membership()).await?;
    if let Some(reason) = reason {
        if reason.len() > REASON_BYTES_MAX {
            return Err(Refusal::too_large(format!("A reason has at most {REASON_BYTES_MAX} bytes")));
        }
        content.insert("reason".to_owned(), reason.into());
    }
    Ok(content)
}

/// The same with a content of the caller's own. Answers the member event, also if nothing had to be
/// done.
///
/// # Errors
/// As [`change_as`].
pub async fn change_to(
    home: &Home,
    who: &Device,
    room: &Arc<Room>,
    mut change: Change,
) -> Answer<ruma::OwnedEventId> {
    if change.then != Move::Leave {
        who.may_act()?;
    }
    let mut welcome = Ok(());
    if change.then == Move::Invite {
        reachable(home, &change.target)?;
        welcome = wants_invites(home, &change.target).await;
    }
    // Only this server may say who authorises a join.
    change.content.remove("join_authorised_via_users_server");
    let _alone = chain::alone(home, who.user(), change.txn.as_ref()).await;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(event_id) = chain::done_before(home, who.user(), change.txn.as_ref()).await? {
            return Ok(event_id);
        }
        let mut chain = Chain::on(home, room).await?;
        let before = chain.state("m.room.member", change.target.as_str()).await?;
        let membership = before.as_ref().map(|event| event.content_as::<MemberContent>()).transpose()?;
        let mut membership = membership.map(|content| content.membership);
        if change.then.is_done(membership.as_ref(), &change.target)?
            && let Some(before) = before
        {
            return Ok(before.event_id().to_owned());
        }
        let mut content = change.content.clone();
        if let Some(signed) = &change.signed
            && !matches!(membership, Some(MembershipState::Invite | MembershipState::Join))
        {
            third_party::accept(home, &mut chain, &change.target, signed).await?;
            membership = Some(MembershipState::Invite);
        }
        if matches!(change.then, Move::Join | Move::Stay) {
            admit(home, who, &chain, membership.as_ref(), &mut content).await?;
        }
        let intent = Intent::state(who.user(), "m.room.member", change.target.as_str(), content);
        let event_id = chain.push(Intent { txn: change.txn.clone(), ..intent }).await?;
        let is_in = membership == Some(MembershipState::Join);
        if matches!(change.then, Move::Join | Move::Stay) && !is_in {
            moving::bring_along(home, &mut chain, who.user()).await?;
        }
        // What somebody wants is no business of those who may not invite.
        welcome.clone()?;
        match chain.commit().await {
            Ok(_) => return Ok(event_id),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

/// What must be so for a user of this server to come in, beyond the authorization rules.
async fn admit(
    home: &Home,
    who: &Device,
    chain: &Chain,
    membership: Option<&MembershipState>,
    content: &mut CanonicalJsonObject,
) -> Answer<()> {
    if who.kind == Kind::Guest && !lets_guests(chain).await? {
        return Err(Refusal::guest_access_forbidden("Guests can not join this room"));
    }
    if matches!(membership, Some(MembershipState::Invite | MembershipState::Join | MembershipState::Ban)) {
        return Ok(());
    }
    let Some(allowed) = restricted_to(chain).await? else { return Ok(()) };
    if !is_in_any(home, who.user(), &allowed).await? {
        return Err(Refusal::forbidden(
            "Only the invited and members of certain other rooms may join this room, and you are neither",
        ));
    }
    let authorising = authorising_user(chain).await?;
    content.insert("join_authorised_via_users_server".to_owned(), authorising.as_str().into());
    Ok(())
}

/// Whether guests may join.
async fn lets_guests(chain: &Chain) -> Answer<bool> {
    #[derive(Deserialize)]
    struct Content {
        guest_access: String,
    }
    let event = chain.state("m.room.guest_access", "").await?;
    let content = event.and_then(|event| event.content_as::<Content>().ok());
    Ok(content.is_some_and(|content| content.guest_access == "can_join"))
}

/// The rooms whose members may join without an invite, if the join rule is such a one.
async fn restricted_to(chain: &Chain) -> Answer<Option<Vec<OwnedRoomId>>> {
    #[derive(Deserialize)]
    struct Content {
        join_rule: String,
        #[serde(default)]
        allow: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Allow {
        #[serde(rename = "type")]
        kind: String,
        room_id: OwnedRoomId,
    }
    let rules = &chain.rules.authorization;
    let event = chain.state("m.room.join_rules", "").await?;
    let Some(content) = event.and_then(|event| event.content_as::<Content>().ok()) else { return Ok(None) };
    let restricted = match &*content.join_rule {
        "restricted" => rules.restricted_join_rule,
        "knock_restricted" => rules.knock_restricted_join_rule,
        _ => false,
    };
    // An entry that is none admits nobody, and spoils no other.
    let allowed = content.allow.into_iter().filter_map(|allow| serde_json::from_value::<Allow>(allow).ok());
    let allowed = allowed.filter(|allow| allow.kind == "m.room_membership").map(|allow| allow.room_id);
    Ok(restricted.then(|| allowed.take(ALLOWED_ROOMS_MAX).collect()))
}

/// Whether `user` is joined to one of `rooms`.
async fn is_in_any(home: &Home, user: &UserId, rooms: &[OwnedRoomId]) -> Answer<bool> {
    for room_id in rooms {
        let Some(room) = store::rooms::by_id(&home.db, room_id.as_str()).await? else { continue };
        let member = store::members::get(&home.db, user.as_str(), room.room).await?;
        if member.is_some_and(|member| member.membership == "join") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A member of this server who may invite, and so let somebody into a restricted room.
async fn authorising_user(chain: &Chain) -> Answer<OwnedUserId> {
    let unable =
        || Refusal::forbidden("No member of this server may let you into that room: ask for an invite");
    let create = chain.state("m.room.create", "").await?.ok_or_else(unable)?;
    let levels = chain.state("m.room.power_levels", "").await?;
    let levels = PowerLevels::of(&create, levels.as_deref(), chain.rules)?;
    let may_invite = |user: &&OwnedUserId| levels.user(user) >= levels.invite().into();
    let room = chain.room().ok_or_else(unable)?;
    let candidates: Vec<OwnedUserId> = room
        .with_joined_here(|joined| joined.iter().filter(may_invite).take(AUTHORISING_MAX).cloned().collect());
    for user in candidates {
        // Who is joined by what is durable may be on the way out.
        let member = chain.state("m.room.member", user.as_str()).await?;
        let content = member.map(|event| event.content_as::<MemberContent>()).transpose()?;
        if content.is_some_and(|content| content.membership == MembershipState::Join) {
            return Ok(user);
        }
    }
    Err(unable())
}

/// Whether somebody can be invited from here.
///
/// # Errors
/// `M_FORBIDDEN` for users of other servers, who would never hear of it.
pub(super) fn reachable(home: &Home, user: &UserId) -> Answer<()> {
    if user.server_name() == home.server_name() {
        return Ok(());
    }
    Err(Refusal::forbidden(format!("{user} is on another server, and this one does not federate")))
}

/// Whether a user of this server wants to be invited at all.
///
/// # Errors
/// `M_INVITE_BLOCKED`
pub(super) async fn wants_invites(home: &Home, user: &UserId) -> Answer<()> {
    if settings::of(home, user).await?.blocks_invites {
        return Err(Refusal::invite_blocked(format!("{user} does not want to be invited")));
    }
    Ok(())
}

/// The room that an id or an alias means.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn find(home: &Home, room: &RoomOrAliasId) -> Answer<Arc<Room>> {
    if let Ok(room_id) = <&RoomId>::try_from(room) {
        return memory::find(home, room_id).await;
    }
    let alias = store::aliases::get(&home.db, room.as_str()).await?;
    let alias = alias.ok_or_else(|| Refusal::not_found(format!("There is no room with the alias {room}")))?;
    memory::find_by_key(home, alias.room).await
}

/// `POST /_matrix/client/v3/rooms/{roomId}/forget`
///
/// # Errors
/// `M_UNKNOWN` if the user has not left the room.
pub async fn forget(home: &Home, who: &Device, room: &Arc<Room>) -> Answer<()> {
    let mut batch = Batch::new();
    store::members::forget(&mut batch, who.user_id.as_str(), room.key);
    let (then, user) = (home.clone(), who.user_id.clone());
    batch.then(move |_| then.rooms.memberships.changed(&user));
    match home.db.commit(batch).await {
        Ok(_) => Ok(()),
        Err(store::Error::Refused { .. }) => Err(Refusal::unknown("Leave the room before you forget it")),
        Err(error) => Err(error.into()),
    }
}

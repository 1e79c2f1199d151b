//! A room that the user is invited to or has knocked on: what a stranger may know of it.

use std::sync::Arc;

use rules::{event::Event, format};
use ruma::EventId;
use store::members::Member;

use super::{look::Look, write};
use crate::{
    refusal::{Answer, Refusal},
    rooms::{self, Room, state, timeline},
};

/// State that a stranger gets to know
/// (<https://spec.matrix.org/v1.19/client-server-api/#stripped-state>).
const STRIPPED: [&str; 7] = [
    "m.room.create",
    "m.room.name",
    "m.room.avatar",
    "m.room.topic",
    "m.room.join_rules",
    "m.room.canonical_alias",
    "m.room.encryption",
];

/// Writes the room as a member of `rooms.invite` or `rooms.knock`; `key` is `invite_state` or
/// `knock_state`.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write(look: &Look, out: &mut String, member: &Member, key: &str) -> Answer<()> {
    let room = rooms::find_by_key(&look.home, member.room).await?;
    if !look.ask.filter.rooms.admit(room.room_id.as_str()) {
        return Ok(());
    }
    let events = stripped(look, &room, member).await?;
    write::key(out, room.room_id.as_str());
    out.push('{');
    write::key(out, key);
    write::events(out, events, |out, event| out.push_str(format::stripped_state(&event).get()));
    out.push('}');
    Ok(())
}

/// The stripped state as it was with the member event: what came later is none of a stranger's business.
async fn stripped(look: &Look, room: &Room, member: &Member) -> Answer<Vec<Arc<Event>>> {
    let damaged = || Refusal::broken(format!("a membership in {} is damaged", room.room_id));
    let event_id = EventId::parse(&*member.event_id).map_err(|_| damaged())?;
    let own = timeline::get(&look.home, room, &event_id).await?.ok_or_else(damaged)?;
    let mut events = Vec::with_capacity(STRIPPED.len() + 2);
    for event_type in STRIPPED {
        events.extend(state::event(&look.home, room, own.root, event_type, "").await?);
    }
    let inviter = own.event.sender().as_str();
    if inviter != look.user().as_str() {
        events.extend(state::event(&look.home, room, own.root, "m.room.member", inviter).await?);
    }
    events.push(own.event);
    Ok(events)
}

//! A room that the user is invited to or has knocked on: what a stranger may know of it.

use std::sync::Arc;

use rules::{event::Event, format};
use ruma::EventId;
use store::members::Member;

use super::{look::Look, write};
use crate::{
    refusal::{Answer, Refusal},
    rooms::{self, Room, stripped, timeline},
};

/// What there is to tell of the room, in whatever form.
pub(super) struct Invited {
    pub(super) room: Arc<Room>,
    pub(super) state: Vec<Arc<Event>>,
}

/// Finds what there is to tell of the room; nothing if the client does not want it.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn find(look: &Look, member: &Member) -> Answer<Option<Invited>> {
    let room = rooms::find_by_key(&look.home, member.room).await?;
    if !look.ask.filter.rooms.admits_room(&room.room_id) {
        return Ok(None);
    }
    let damaged = || Refusal::broken(format!("a membership in {} is damaged", room.room_id));
    let event_id = EventId::parse(&*member.event_id).map_err(|_| damaged())?;
    let own = timeline::get(&look.home, &room, &event_id).await?.ok_or_else(damaged)?;
    let state = stripped::with_member(&look.home, &room, &own).await?;
    Ok(Some(Invited { room, state }))
}

/// Writes the room as a member of `rooms.invite` or `rooms.knock`; `key` is `invite_state` or
/// `knock_state`.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn write(look: &Look, out: &mut String, member: &Member, key: &str) -> Answer<()> {
    let Some(invited) = find(look, member).await? else { return Ok(()) };
    write::key(out, invited.room.room_id.as_str());
    out.push('{');
    invited.write_state(out, key);
    out.push('}');
    Ok(())
}

impl Invited {
    /// Writes the state: `"invite_state":{"events":[…]}`.
    pub(super) fn write_state(&self, out: &mut String, key: &str) {
        write::key(out, key);
        write::events(out, &self.state, |out, event| out.push_str(format::stripped_state(event).get()));
    }
}

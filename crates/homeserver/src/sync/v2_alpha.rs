//! `GET /_matrix/client/v2_alpha/sync`: the answer as it was in 2015.
//!
//! Rooms stand in `room_map`, each with its events in `event_map`; everything else names rooms and events
//! by their ids. The state is that after the timeline, and tells of what the timeline tells of, too.

use std::{collections::HashSet, sync::Arc};

use rules::event::Event;
use ruma::{EventId, OwnedRoomId};
use store::members::Member;

use super::{
    invited,
    joined::{self, Joined},
    left::{self, Left},
    look::Look,
    plan::Entry,
    presence,
    stream::Shape,
    timeline::Timeline,
    write,
};
use crate::{
    refusal::Answer,
    rooms::{Room, show, visibility::Viewer},
};

/// The shape of `/sync` in v2_alpha.
#[derive(Default)]
pub(super) struct V2Alpha {
    joined: Vec<OwnedRoomId>,
    invited: Vec<OwnedRoomId>,
    archived: Vec<OwnedRoomId>,
}

impl Shape for V2Alpha {
    async fn begin(&mut self, look: &Look, out: &mut String) -> Answer<bool> {
        out.push_str(r#"{"next_batch":"#);
        write::text(out, &look.upto.to_string());
        out.push_str(r#","presence":{"events":["#);
        let any = presence::write_2015(look, out, true).await?;
        out.push_str(r#"]},"room_map":{"#);
        Ok(any)
    }

    async fn room(&mut self, look: &Look, out: &mut String, entry: Entry, member: &Member) -> Answer<()> {
        match entry {
            Entry::Join(_) => self.join(look, out, member).await,
            Entry::Invite(_) => self.invite(look, out, member).await,
            Entry::Leave(_) => self.leave(look, out, member).await,
            // Nobody could knock in 2015.
            Entry::Knock(_) => Ok(()),
        }
    }

    fn has_rooms(&self) -> bool {
        !(self.joined.is_empty() && self.invited.is_empty() && self.archived.is_empty())
    }

    fn end(self, _: &Look, out: &mut String) {
        out.push_str(r#"},"rooms":{"default":{"joined":"#);
        write::value(out, &self.joined);
        out.push_str(r#","invited":"#);
        write::value(out, &self.invited);
        out.push_str(r#","archived":"#);
        write::value(out, &self.archived);
        out.push_str("}}}");
    }
}

impl V2Alpha {
    /// What was written before may be on its way already, so `out` does not tell.
    fn comma(&self, out: &mut String) {
        if self.has_rooms() {
            out.push(',');
        }
    }

    async fn join(&mut self, look: &Look, out: &mut String, member: &Member) -> Answer<()> {
        let Some(found) = joined::find(look, member).await? else { return Ok(()) };
        let Joined { room, viewer, state, timeline, ephemeral, .. } = found;
        self.comma(out);
        write_events(look, out, (&room, &viewer), &state, &timeline).await?;
        out.push_str(r#","ephemeral":{"events":["#);
        ephemeral.write(out, Some(&room.room_id));
        out.push_str("]}}");
        self.joined.push(room.room_id.clone());
        Ok(())
    }

    async fn invite(&mut self, look: &Look, out: &mut String, member: &Member) -> Answer<()> {
        let Some(found) = invited::find(look, member).await? else { return Ok(()) };
        self.comma(out);
        write::key(out, found.room.room_id.as_str());
        out.push('{');
        found.write_state(out, "invite_state");
        out.push('}');
        self.invited.push(found.room.room_id.clone());
        Ok(())
    }

    async fn leave(&mut self, look: &Look, out: &mut String, member: &Member) -> Answer<()> {
        let Some(found) = left::find(look, member).await? else { return Ok(()) };
        let Left { room, viewer, state, timeline, .. } = found;
        self.comma(out);
        write_events(look, out, (&room, &viewer), &state, &timeline).await?;
        out.push('}');
        self.archived.push(room.room_id.clone());
        Ok(())
    }
}

/// Begins a room with its events: `"!id":{"event_map":{…},"state":{…},"timeline":{…}`. The object is left
/// open.
async fn write_events(
    look: &Look,
    out: &mut String,
    (room, viewer): (&Room, &Viewer),
    state: &[Arc<Event>],
    timeline: &Timeline,
) -> Answer<()> {
    let shown = joined::shown(look, room, viewer, timeline).await?;
    write::key(out, room.room_id.as_str());
    out.push_str(r#"{"event_map":{"#);
    let mut told: HashSet<&EventId> = HashSet::new();
    for (event, shown) in timeline.events.iter().zip(&shown) {
        write::comma(out);
        write::key(out, event.event.event_id().as_str());
        out.push_str(shown.as_str());
        told.insert(event.event.event_id());
    }
    let now_ms = look.home.clock.now_ms();
    for event in state.iter().filter(|event| !told.contains(event.event_id())) {
        write::comma(out);
        write::key(out, event.event_id().as_str());
        show::write_state_event(out, event, now_ms, look.ask.filter.format, false);
    }
    out.push_str(r#"},"state":{"events":"#);
    let ids: Vec<&EventId> = state.iter().map(|event| event.event_id()).collect();
    write::value(out, &ids);
    out.push_str(r#"},"timeline":{"events":"#);
    let ids: Vec<&EventId> = timeline.events.iter().map(|event| event.event.event_id()).collect();
    write::value(out, &ids);
    joined::write_place(out, timeline);
    Ok(())
}

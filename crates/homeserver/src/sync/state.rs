//! The state of a room that a client has to know beside the timeline.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use rules::{event::Event, state_tree::Root};
use ruma::OwnedEventId;

use super::{look::Look, timeline::Timeline, write};
use crate::{
    refusal::Answer,
    rooms::{Room, show, state, timeline},
};

/// What the client is to learn of the state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// What changed since it knew the room at this position.
    Since(i64),
}

/// The state events that go with a timeline.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn events(
    look: &Look,
    room: &Room,
    timeline: &Timeline,
    extent: Extent,
    heroes: &[String],
) -> Answer<Vec<Arc<Event>>> {
    let ids = match extent {
        Extent::Whole => whole(look, room, timeline, heroes).await?,
        Extent::Since(since) => changes(look, room, timeline, since, heroes).await?,
    };
    let mut events = state::events_by_id(&look.home, room, &ids).await?;
    events.retain(|event| look.ask.filter.state.admits(event));
    if let Some(telling) = &look.telling {
        if extent == Extent::Whole {
            telling.begins_anew(room.key);
        }
        telling.tells(&look.home.told, room.key, events.iter().map(|event| &**event));
    }
    Ok(events)
}

/// The state in which the list of state events ends: before the timeline, or after it.
async fn end(look: &Look, room: &Room, timeline: &Timeline) -> Answer<Root> {
    let known = if look.ask.use_state_after { timeline.after } else { timeline.before };
    match known {
        Some(root) => Ok(root),
        // The scan ended right at the first event, or nothing happened at all.
        None => timeline::root_at(&look.home, room, timeline.start).await,
    }
}

async fn whole(
    look: &Look,
    room: &Room,
    timeline: &Timeline,
    heroes: &[String],
) -> Answer<Vec<OwnedEventId>> {
    let root = end(look, room, timeline).await?;
    let lazy = look.ask.filter.lazy_load_members();
    let wanted = |event_type: &str| !(lazy && event_type == "m.room.member");
    let mut ids: Vec<OwnedEventId> =
        state::entries(&look.home, root, wanted).await?.into_iter().map(|entry| entry.event_id).collect();
    if lazy {
        let mut users = senders(timeline);
        users.insert(look.user().as_str());
        users.extend(heroes.iter().map(String::as_str));
        ids.extend(members(look, root, users).await?.into_iter().map(|(_, event_id)| event_id));
    }
    Ok(ids)
}

async fn changes(
    look: &Look,
    room: &Room,
    timeline: &Timeline,
    since: i64,
    heroes: &[String],
) -> Answer<Vec<OwnedEventId>> {
    let lazy = look.ask.filter.lazy_load_members();
    let gap = timeline.before.is_some() || timeline.limited || look.ask.use_state_after;
    if timeline.events.is_empty() && timeline.after.is_none() || (!gap && !lazy) {
        return Ok(Vec::new());
    }
    let end = end(look, room, timeline).await?;
    let mut ids = Vec::new();
    if gap {
        let before = timeline::root_at(&look.home, room, since).await?;
        let changes = state::diff(&look.home, before, end).await?;
        ids.extend(changes.into_iter().filter_map(|change| change.after));
    }
    if lazy {
        let mut users = senders(timeline);
        users.extend(heroes.iter().map(String::as_str));
        let told: HashSet<OwnedEventId> = ids.iter().cloned().collect();
        let members = members(look, end, users).await?;
        let knows = |user: &str, event_id: &OwnedEventId| {
            let known = look.telling.as_ref().map(|of| of.knows(&look.home.told, room.key, user, event_id));
            known.unwrap_or(false) || told.contains(event_id)
        };
        ids.extend(members.into_iter().filter(|(user, id)| !knows(user, id)).map(|(_, event_id)| event_id));
    }
    Ok(ids)
}

/// Who sent the events of the timeline, but for those who come with their own member event first.
fn senders(timeline: &Timeline) -> BTreeSet<&str> {
    let mut senders = BTreeSet::new();
    let mut introduced = HashSet::new();
    for event in &timeline.events {
        if let Some(("m.room.member", user)) = event.event.state_place() {
            introduced.insert(user);
        }
        let sender = event.event.sender().as_str();
        if !introduced.contains(sender) {
            senders.insert(sender);
        }
    }
    senders
}

/// The member events of `users` in the state `root`.
async fn members<'a>(
    look: &Look,
    root: Root,
    users: BTreeSet<&'a str>,
) -> Answer<Vec<(&'a str, OwnedEventId)>> {
    let mut members = Vec::with_capacity(users.len());
    for user in users {
        let event_id = state::get(&look.home, root, "m.room.member", user).await?;
        members.extend(event_id.map(|event_id| (user, event_id)));
    }
    Ok(members)
}

/// Writes state events as a member of a section: `"state":{"events":[…]}`.
pub(super) fn write(look: &Look, out: &mut String, events: &[Arc<Event>]) {
    out.push_str(if look.ask.use_state_after { r#""state_after":"# } else { r#""state":"# });
    let now_ms = look.home.clock.now_ms();
    write::events(out, events, |out, event| {
        let begun = out.len();
        show::write_state_event(out, event, now_ms, look.ask.filter.format, false);
        if let Some(fields) = &look.ask.filter.fields {
            let wanted = fields.of(&out[begun..]);
            out.replace_range(begun.., &wanted);
        }
    });
}

//! What a stranger may know of a room that somebody invited it to: stripped state.

use std::{collections::HashMap, sync::Arc};

use rules::{event::Event, format, state_tree::Root};
use ruma::{OwnedEventId, events::room::member::MembershipState};

use super::{Room, TimelineEvent, effects::MemberContent, show::Format, state, visibility::Viewer};
use crate::{Home, refusal::Answer};

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

/// The same in 2015 (`invite_room_state` of `m.room.member`).
const STRIPPED_V1: [&str; 4] =
    ["m.room.join_rules", "m.room.canonical_alias", "m.room.avatar", "m.room.name"];

/// The state that a stranger gets to know by `member`, an invitation or a knock, as it was then: what came
/// later is none of a stranger's business.
///
/// # Errors
/// If the database does not answer.
pub async fn with_member(home: &Home, room: &Room, member: &TimelineEvent) -> Answer<Vec<Arc<Event>>> {
    let mut events = places(home, room, member.root, &STRIPPED).await?;
    let inviter = member.event.sender().as_str();
    if member.event.state_key() != Some(inviter) {
        events.extend(state::event(home, room, member.root, "m.room.member", inviter).await?);
    }
    events.push(member.event.clone());
    Ok(events)
}

async fn places(home: &Home, room: &Room, root: Root, types: &[&str]) -> Answer<Vec<Arc<Event>>> {
    let mut events = Vec::with_capacity(types.len() + 2);
    for event_type in types {
        events.extend(state::event(home, room, root, event_type, "").await?);
    }
    Ok(events)
}

/// `invite_room_state` of those of `events` that invite the viewer, as JSON lists.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn of_invites(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    events: &[Arc<TimelineEvent>],
    format: Format,
) -> Answer<HashMap<OwnedEventId, String>> {
    let mut states = HashMap::new();
    let Some(user) = viewer.user() else { return Ok(states) };
    for event in events {
        if event.event.state_place() != Some(("m.room.member", user.as_str())) || !is_invite(event) {
            continue;
        }
        let state = match format {
            Format::V1 => {
                let stripped = places(home, room, event.root, &STRIPPED_V1).await?;
                format::stripped_state_v1(stripped.iter().map(|event| &**event))
            }
            _ => {
                let stripped = with_member(home, room, event).await?;
                let stripped: Vec<_> = stripped.iter().map(|event| format::stripped_state(event)).collect();
                let stripped: Vec<&str> = stripped.iter().map(|event| event.get()).collect();
                format!("[{}]", stripped.join(","))
            }
        };
        states.insert(event.event.event_id().to_owned(), state);
    }
    Ok(states)
}

fn is_invite(event: &TimelineEvent) -> bool {
    event
        .event
        .content_as::<MemberContent>()
        .is_ok_and(|content| content.membership == MembershipState::Invite)
}

//! What is left of the messages of people who had their account erased, for who came later.
//!
//! Spec: client-server API, `POST /account/deactivate`, `erase`. Nothing is redacted: whoever was in
//! the room when the event came still sees it whole, all others see what redaction would leave of it.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use rules::{event::Event, redaction};

use super::{Room, TimelineEvent, visibility::Viewer};
use crate::{Home, refusal::Answer};

/// `events` with those pruned that the viewer must not see whole; `None` if that is none of them.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn prune(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    events: &[Arc<TimelineEvent>],
) -> Answer<Option<Vec<Arc<TimelineEvent>>>> {
    let mut in_question = HashSet::new();
    let mut senders = BTreeSet::new();
    for event in events {
        let sender = event.event.sender();
        let is_own = viewer.user() == Some(sender);
        if is_own || event.event.state_key().is_some() || sender.server_name() != home.server_name() {
            continue;
        }
        if !viewer.was_joined_before(home, room, event).await? {
            in_question.insert(event.pos);
            senders.insert(sender.to_string());
        }
    }
    if senders.is_empty() {
        return Ok(None);
    }
    let senders: Vec<String> = senders.into_iter().collect();
    let erased = store::accounts::erased(&home.db, &senders).await?;
    if erased.is_empty() {
        return Ok(None);
    }
    let erased: HashSet<String> = erased.into_iter().collect();
    let pruned = events.iter().map(|event| {
        let is_pruned = in_question.contains(&event.pos) && erased.contains(event.event.sender().as_str());
        if is_pruned { pruned(room, event) } else { Ok(event.clone()) }
    });
    pruned.collect::<Answer<Vec<_>>>().map(Some)
}

/// What redaction would leave of an event.
///
/// # Errors
/// A broken server if it is stored damaged.
pub(super) fn pruned(room: &Room, event: &TimelineEvent) -> Answer<Arc<TimelineEvent>> {
    let json = redaction::redacted(event.event.json(), room.rules)?;
    let left = Event::parse(event.event.event_id().to_owned(), json.into(), room.rules)?;
    let mut event = event.clone();
    event.event = Arc::new(left);
    Ok(Arc::new(event))
}

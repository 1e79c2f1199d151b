//! Reading and growing state trees: brings in the nodes that `rules::state_tree` asks for.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::try_join_all;
use rules::{
    event::Event,
    state_tree::{self, Change, Entry, Grown, Missing, Node, Root},
};
use ruma::{EventId, OwnedEventId};

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{Room, TimelineEvent},
};

/// Runs a function of [`state_tree`] until it has every node that it needs.
async fn with_nodes<T>(
    home: &Home,
    mut ask: impl FnMut(&dyn Fn(&Root) -> Option<Arc<Node>>) -> Result<T, Missing>,
) -> Answer<T> {
    // What was brought in for this question stays at hand until it is answered, whatever the cache does.
    let mut brought: HashMap<Root, Arc<Node>> = HashMap::new();
    loop {
        let missing = {
            let memory = &home.rooms;
            let cached = |name: &Root| {
                let brought = brought.get(name).cloned();
                brought.or_else(|| memory.nodes.get(name)).or_else(|| memory.unsettled.node(name))
            };
            match ask(&cached) {
                Ok(answer) => return Ok(answer),
                Err(Missing(names)) => names,
            }
        };
        let nodes = try_join_all(missing.into_iter().map(|name| load(home, name))).await?;
        brought.extend(nodes);
    }
}

async fn load(home: &Home, name: Root) -> Answer<(Root, Arc<Node>)> {
    let bytes = store::state::get(&home.db, name.as_bytes()).await?;
    let node = bytes.and_then(|bytes| Node::from_bytes(&bytes));
    let node = node.ok_or_else(|| Refusal::broken(format!("the state node {name:?} is missing")))?;
    let node = Arc::new(node);
    home.rooms.nodes.insert(name, node.clone());
    Ok((name, node))
}

/// The id of the event at `(event_type, state_key)` in the state `root`.
///
/// # Errors
/// If the database does not answer.
pub async fn get(home: &Home, root: Root, event_type: &str, state_key: &str) -> Answer<Option<OwnedEventId>> {
    with_nodes(home, |nodes| state_tree::get(root, event_type, state_key, nodes)).await
}

/// The event at `(event_type, state_key)` in the state `root` of `room`.
///
/// # Errors
/// If the database does not answer.
pub async fn event(
    home: &Home,
    room: &Room,
    root: Root,
    event_type: &str,
    state_key: &str,
) -> Answer<Option<Arc<Event>>> {
    match get(home, root, event_type, state_key).await? {
        Some(event_id) => event_by_id(home, room, &event_id).await.map(Some),
        None => Ok(None),
    }
}

/// All the places of the state `root` whose event type `wanted` accepts.
///
/// # Errors
/// If the database does not answer.
pub async fn entries(home: &Home, root: Root, wanted: impl Fn(&str) -> bool) -> Answer<Vec<Entry>> {
    with_nodes(home, |nodes| state_tree::entries(root, &wanted, nodes)).await
}

/// Where the states `before` and `after` differ.
///
/// # Errors
/// If the database does not answer.
pub async fn diff(home: &Home, before: Root, after: Root) -> Answer<Vec<Change>> {
    with_nodes(home, |nodes| state_tree::diff(before, after, nodes)).await
}

/// The state `root` with `changes`, made in `era`; the new nodes are in memory afterwards, and yet to be
/// stored.
///
/// # Errors
/// If the database does not answer.
pub async fn put(home: &Home, root: Root, changes: Vec<Entry>, era: u64) -> Answer<Grown> {
    let grown = with_nodes(home, |nodes| state_tree::put(root, changes.clone(), era, nodes)).await?;
    for new in &grown.nodes {
        home.rooms.nodes.insert(new.name, new.node.clone());
    }
    Ok(grown)
}

/// An event in memory, be it durable or on its way.
fn at_hand(home: &Home, event_id: &EventId) -> Option<Arc<Event>> {
    home.rooms.events.get(event_id).or_else(|| home.rooms.unsettled.event(event_id))
}

/// An event of `room` that is known to exist: out of the state, of `prev_events`, of `auth_events`.
///
/// # Errors
/// A broken server if it does not exist after all.
pub async fn event_by_id(home: &Home, room: &Room, event_id: &EventId) -> Answer<Arc<Event>> {
    if let Some(event) = at_hand(home, event_id) {
        return Ok(event);
    }
    let redactions = home.rooms.redactions();
    let stored = store::events::by_id(&home.db, event_id.as_str()).await?;
    let stored = stored.filter(|stored| stored.room == room.key);
    let stored =
        stored.ok_or_else(|| Refusal::broken(format!("{event_id} is missing in {}", room.room_id)))?;
    let event = TimelineEvent::read(stored, room)?.event;
    home.rooms.keep(&event, redactions);
    Ok(event)
}

/// The events of `room` with these ids, in the same order; one query for all that are not in memory.
///
/// # Errors
/// A broken server if one does not exist.
pub async fn events_by_id(home: &Home, room: &Room, event_ids: &[OwnedEventId]) -> Answer<Vec<Arc<Event>>> {
    let mut found: HashMap<&EventId, Arc<Event>> = HashMap::new();
    let mut wanted = Vec::new();
    for event_id in event_ids {
        match at_hand(home, event_id) {
            Some(event) => drop(found.insert(event_id, event)),
            None => wanted.push(event_id.to_string()),
        }
    }
    let mut read = HashMap::new();
    if !wanted.is_empty() {
        let redactions = home.rooms.redactions();
        for stored in store::events::by_ids(&home.db, &wanted).await? {
            let event = TimelineEvent::read(stored, room)?.event;
            home.rooms.keep(&event, redactions);
            read.insert(event.event_id().to_owned(), event);
        }
    }
    let missing = |event_id: &EventId| Refusal::broken(format!("{event_id} is missing in {}", room.room_id));
    let pick = |event_id: &OwnedEventId| {
        found.get(&**event_id).or_else(|| read.get(event_id)).cloned().ok_or_else(|| missing(event_id))
    };
    event_ids.iter().map(pick).collect()
}

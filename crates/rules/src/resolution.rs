//! Which state wins where the graph of a room forks.
//!
//! Spec: rooms/v2 (state resolution v2), rooms/v12 (v2.1).

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, events::StateEventType, room_version_rules::RoomVersionRules,
    state_res::utils::event_id_set::EventIdSet,
};

use crate::{Refused, event::Event};

/// One state of a room: which event stands at which `(type, state_key)`.
pub type StateMap = HashMap<(StateEventType, String), OwnedEventId>;

/// The state that follows from several: the room after a fork comes together.
///
/// `auth_chains` has, for each of `states`, the ids of all events in the auth chains of its events, those
/// events included. `fetch` finds an event of this server by its id; events it does not know are ignored.
///
/// # Errors
/// [`Refused::Resolution`] if the room version has no state resolution that we know.
pub fn resolve(
    rules: &RoomVersionRules,
    states: &[StateMap],
    auth_chains: Vec<HashSet<OwnedEventId>>,
    fetch: impl Fn(&EventId) -> Option<Arc<Event>>,
) -> Result<StateMap, Refused> {
    let Some(algorithm) = rules.state_res.v2_rules() else {
        return Err(Refused::Resolution("the room version has no algorithm here".to_owned()));
    };
    let chains = auth_chains.into_iter().map(|chain| chain.into_iter().collect()).collect();
    ruma::state_res::resolve(&rules.authorization, algorithm, states, chains, &fetch, |conflicted| {
        Some(conflicted_subgraph(conflicted.values().flatten(), &fetch))
    })
    .map_err(|error| Refused::Resolution(error.to_string()))
}

/// Every event on a path of auth events from one conflicted event to another, those included.
fn conflicted_subgraph<'a>(
    conflicted: impl Iterator<Item = &'a OwnedEventId>,
    fetch: &impl Fn(&EventId) -> Option<Arc<Event>>,
) -> EventIdSet<OwnedEventId> {
    let conflicted: HashSet<OwnedEventId> = conflicted.cloned().collect();
    // Whether an event reaches a conflicted event; filled children first, without recursion.
    let mut reaches: HashMap<OwnedEventId, bool> = HashMap::new();
    for start in &conflicted {
        let mut path = vec![(start.clone(), false)];
        while let Some((id, expanded)) = path.pop() {
            if !expanded && reaches.contains_key(&id) {
                continue;
            }
            let parents = fetch(&id).map(|event| event.auth_events().to_vec()).unwrap_or_default();
            if expanded {
                let below = parents.iter().any(|parent| reaches.get(parent).copied().unwrap_or(false));
                reaches.insert(id.clone(), below || conflicted.contains(&id));
                continue;
            }
            path.push((id, true));
            path.extend(parents.into_iter().filter(|id| !reaches.contains_key(id)).map(|id| (id, false)));
        }
    }
    reaches.into_iter().filter(|(_, reaches)| *reaches).map(|(id, _)| id).collect()
}

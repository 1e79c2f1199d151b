//! Which state wins where the graph of a room forks.
//!
//! Spec: rooms/v2 («State resolution», v2) and rooms/v12 (v2.1). Ours rather than ruma's so that one set of
//! authorization rules decides everywhere and event types stay as they were written; a property test holds it
//! to ruma's result.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, UInt,
    events::room::member::MembershipState,
    room_version_rules::{RoomVersionRules, StateResolutionV2Rules},
};

use crate::{
    Refused, authorization,
    event::Event,
    power_levels::{Power, PowerLevels},
};

/// One state of a room: which event stands at which type and state key.
pub type StateMap = HashMap<(String, String), OwnedEventId>;

/// The state that follows from several: the room after a fork comes together.
///
/// `auth_chains` has, for each of `states`, the ids of all events in the auth chains of its events. `fetch`
/// finds an event of this room by its id; conflicted events it does not know are ignored. The order of `states`
/// does not matter.
///
/// # Errors
/// [`Refused::Resolution`] if the room version has no algorithm here or an event of the state is not known.
pub fn resolve(
    rules: &RoomVersionRules,
    states: &[StateMap],
    auth_chains: &[HashSet<OwnedEventId>],
    fetch: impl Fn(&EventId) -> Option<Arc<Event>>,
) -> Result<StateMap, Refused> {
    let Some(algorithm) = rules.state_res.v2_rules() else {
        return Err(Refused::Resolution("the room version has no algorithm here".to_owned()));
    };
    let (unconflicted, conflicted) = split(states);
    if conflicted.is_empty() {
        return Ok(unconflicted);
    }
    let full = full_conflicted_set(algorithm, &conflicted, auth_chains, &fetch);
    let room = Room { rules, fetch, full };

    let power_events = room.ordered_power_events()?;
    let begin = match algorithm.begin_iterative_auth_checks_with_empty_state_map {
        true => StateMap::new(),
        false => unconflicted.clone(),
    };
    let partial = room.iterative_auth_checks(&power_events, begin);

    let done: HashSet<&EventId> = power_events.iter().map(|event| event.event_id()).collect();
    let rest = room.full.values().filter(|event| !done.contains(event.event_id())).cloned().collect();
    let rest = room.ordered_by_mainline(rest, &partial);
    let mut resolved = room.iterative_auth_checks(&rest, partial);
    resolved.extend(unconflicted);
    Ok(resolved)
}

/// The entries that all states share, and the events of all others.
fn split(states: &[StateMap]) -> (StateMap, BTreeSet<OwnedEventId>) {
    let mut unconflicted = StateMap::new();
    let mut conflicted = BTreeSet::new();
    let places: HashSet<&(String, String)> = states.iter().flat_map(HashMap::keys).collect();
    for place in places {
        let mut values = states.iter().map(|state| state.get(place));
        let first = values.next().flatten();
        match first {
            Some(id) if values.all(|value| value == Some(id)) => {
                unconflicted.insert(place.clone(), id.clone());
            }
            _ => conflicted.extend(states.iter().filter_map(|state| state.get(place)).cloned()),
        }
    }
    (unconflicted, conflicted)
}

/// The conflicted events, the auth difference and, since v2.1, the conflicted subgraph.
fn full_conflicted_set(
    algorithm: &StateResolutionV2Rules,
    conflicted: &BTreeSet<OwnedEventId>,
    auth_chains: &[HashSet<OwnedEventId>],
    fetch: &impl Fn(&EventId) -> Option<Arc<Event>>,
) -> BTreeMap<OwnedEventId, Arc<Event>> {
    let mut ids = conflicted.clone();
    let chained: HashSet<&OwnedEventId> = auth_chains.iter().flatten().collect();
    let in_all = |id: &OwnedEventId| auth_chains.iter().all(|chain| chain.contains(id));
    ids.extend(chained.into_iter().filter(|id| !in_all(id)).cloned());
    if algorithm.consider_conflicted_state_subgraph {
        ids.extend(conflicted_subgraph(conflicted, fetch));
    }
    ids.into_iter().filter_map(|id| fetch(&id).map(|event| (id, event))).collect()
}

/// Every event on a path of auth events from one conflicted event to another, those included.
fn conflicted_subgraph(
    conflicted: &BTreeSet<OwnedEventId>,
    fetch: &impl Fn(&EventId) -> Option<Arc<Event>>,
) -> Vec<OwnedEventId> {
    // Whether a visited event leads down to a conflicted one. A parent is settled before its child, without
    // recursion: a chain can be as long as the room is old.
    let mut leads: HashMap<OwnedEventId, bool> = HashMap::new();
    let mut path: Vec<(OwnedEventId, bool)> = conflicted.iter().map(|id| (id.clone(), false)).collect();
    while let Some((id, parents_settled)) = path.pop() {
        if leads.contains_key(&id) {
            continue;
        }
        let event = fetch(&id);
        let parents = event.as_deref().map(Event::auth_events).unwrap_or_default();
        if parents_settled {
            let below = parents.iter().any(|parent| leads.get(parent).copied().unwrap_or(false));
            leads.insert(id.clone(), below || conflicted.contains(&id));
        } else {
            path.push((id, true));
            path.extend(parents.iter().filter(|id| !leads.contains_key(*id)).map(|id| (id.clone(), false)));
        }
    }
    leads.into_iter().filter(|(_, leads)| *leads).map(|(id, _)| id).collect()
}

/// The full conflicted set and what is needed to judge it.
struct Room<'a, F> {
    rules: &'a RoomVersionRules,
    fetch: F,
    full: BTreeMap<OwnedEventId, Arc<Event>>,
}

impl<F: Fn(&EventId) -> Option<Arc<Event>>> Room<'_, F> {
    /// The power events and their conflicted auth events, in reverse topological power ordering: what
    /// authorises comes first; among what is free to come next, the greater power of the sender, the earlier
    /// time, the smaller id.
    fn ordered_power_events(&self) -> Result<Vec<Arc<Event>>, Refused> {
        let graph = self.power_graph();
        let mut waits_for: HashMap<&EventId, usize> = HashMap::new();
        let mut children: HashMap<&EventId, Vec<&EventId>> = HashMap::new();
        let mut ready = BinaryHeap::new();
        for (id, parents) in &graph {
            waits_for.insert(id, parents.len());
            for parent in parents {
                children.entry(parent).or_default().push(id);
            }
            if parents.is_empty() {
                ready.push(Reverse(self.rank(id)?));
            }
        }
        let mut ordered = Vec::with_capacity(graph.len());
        while let Some(Reverse((_, _, id))) = ready.pop() {
            for child in children.get(&*id).into_iter().flatten() {
                let waits = waits_for.entry(child).or_default();
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    ready.push(Reverse(self.rank(child)?));
                }
            }
            ordered.extend(self.full.get(&id).cloned());
        }
        Ok(ordered)
    }

    /// Power events and those before them in the full conflicted set, each with its auth events of the set.
    fn power_graph(&self) -> BTreeMap<OwnedEventId, Vec<OwnedEventId>> {
        let mut graph = BTreeMap::new();
        let mut open: Vec<&Arc<Event>> = self.full.values().filter(|event| is_power_event(event)).collect();
        while let Some(event) = open.pop() {
            if graph.contains_key(event.event_id()) {
                continue;
            }
            let parents: BTreeSet<_> =
                event.auth_events().iter().filter(|id| self.full.contains_key(*id)).cloned().collect();
            open.extend(parents.iter().filter_map(|id| self.full.get(id)));
            graph.insert(event.event_id().to_owned(), parents.into_iter().collect());
        }
        graph
    }

    fn rank(&self, id: &EventId) -> Result<(Reverse<Power>, UInt, OwnedEventId), Refused> {
        let event = self.full.get(id).ok_or_else(|| unknown(id))?;
        let mut power_levels = None;
        let mut create = None;
        for auth_event in event.auth_events().iter().filter_map(|id| (self.fetch)(id)) {
            match auth_event.state_place() {
                Some(("m.room.power_levels", "")) => power_levels = Some(auth_event),
                Some(("m.room.create", "")) => create = Some(auth_event),
                _ => {}
            }
        }
        let create = create.or_else(|| self.create_of(event));
        // Power levels that cannot be read give nobody power, rather than stop a room.
        let power_levels = create
            .and_then(|create| PowerLevels::of(&create, power_levels.as_deref(), self.rules).ok())
            .unwrap_or_default();
        let power = power_levels.user(event.sender());
        Ok((Reverse(power), event.origin_server_ts().0, id.to_owned()))
    }

    /// The create event that gives a version 12 room its id; an event may itself be that.
    fn create_of(&self, event: &Event) -> Option<Arc<Event>> {
        if event.event_type() == "m.room.create" {
            return (self.fetch)(event.event_id());
        }
        if !self.rules.authorization.room_create_event_id_as_room_id {
            return None;
        }
        let id = EventId::parse(event.room_id().as_str().replacen('!', "$", 1)).ok()?;
        (self.fetch)(&id)
    }

    /// Adds each event that its own auth events and the state so far allow.
    fn iterative_auth_checks(&self, events: &[Arc<Event>], mut state: StateMap) -> StateMap {
        for event in events {
            let Some((event_type, state_key)) = event.state_place() else { continue };
            let mut known: HashMap<(String, String), Arc<Event>> = HashMap::new();
            let own = event.auth_events().iter().filter_map(|id| (self.fetch)(id));
            for auth_event in own.chain(self.create_of(event)).filter(|event| !event.rejected()) {
                if let Some((kind, key)) = auth_event.state_place() {
                    known.insert((kind.to_owned(), key.to_owned()), auth_event);
                }
            }
            let Ok(selected) = authorization::selected_for(event, self.rules) else { continue };
            for place in selected.into_iter().map(|(kind, key)| (kind.to_owned(), key)) {
                if let Some(now) = state.get(&place).and_then(|id| (self.fetch)(id))
                    && !now.rejected()
                {
                    known.insert(place, now);
                }
            }
            let read = |kind: &str, key: &str| known.get(&(kind.to_owned(), key.to_owned())).cloned();
            if authorization::authorize(event, self.rules, read).is_ok() {
                state.insert((event_type.to_owned(), state_key.to_owned()), event.event_id().to_owned());
            }
        }
        state
    }

    /// Mainline ordering: by how far back along the chain of power levels an event was authorised, then by
    /// time and id.
    fn ordered_by_mainline(&self, events: Vec<Arc<Event>>, partial: &StateMap) -> Vec<Arc<Event>> {
        let newest = partial.get(&("m.room.power_levels".to_owned(), String::new()));
        let mut mainline: HashMap<OwnedEventId, usize> = HashMap::new();
        let mut next = newest.and_then(|id| (self.fetch)(id));
        while let Some(event) = next {
            mainline.insert(event.event_id().to_owned(), mainline.len());
            next = self.power_levels_before(&event);
        }
        let mut keyed: Vec<_> = events
            .into_iter()
            .map(|event| {
                let steps = self.mainline_position(&event, &mainline);
                ((Reverse(steps), event.origin_server_ts(), event.event_id().to_owned()), event)
            })
            .collect();
        keyed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        keyed.into_iter().map(|(_, event)| event).collect()
    }

    /// The index in the mainline of the first of its events that this one stands on; the greatest if none.
    fn mainline_position(&self, event: &Arc<Event>, mainline: &HashMap<OwnedEventId, usize>) -> usize {
        let mut next = Some(event.clone());
        while let Some(event) = next {
            if let Some(index) = mainline.get(event.event_id()) {
                return *index;
            }
            next = self.power_levels_before(&event);
        }
        usize::MAX
    }

    fn power_levels_before(&self, event: &Event) -> Option<Arc<Event>> {
        let mut auth_events = event.auth_events().iter().filter_map(|id| (self.fetch)(id));
        auth_events.find(|event| event.state_place() == Some(("m.room.power_levels", "")))
    }
}

/// Spec: rooms/v2, «Power events»: what can take somebody's power away.
fn is_power_event(event: &Event) -> bool {
    match event.state_place() {
        Some(("m.room.power_levels" | "m.room.join_rules" | "m.room.create", "")) => true,
        Some(("m.room.member", user)) if user != event.sender().as_str() => {
            matches!(authorization::membership_of(event), Ok(MembershipState::Leave | MembershipState::Ban))
        }
        _ => false,
    }
}

fn unknown(id: &EventId) -> Refused {
    Refused::Resolution(format!("event {id} is not known"))
}

//! State resolution: every order of arrival ends in the same state, and it is ruma's.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use proptest::prelude::*;
use rules::{
    authorization, canonical,
    event::Event,
    resolution::{StateMap, resolve},
    versions,
};
use ruma::{
    EventId, OwnedEventId, RoomVersionId, UserId, events::StateEventType,
    state_res::utils::event_id_set::EventIdSet,
};
use serde_json::{Value, json};

use crate::as_ruma::AsRuma;
use crate::scene::{ALICE, BOB, CREATOR, Scene, name};

/// A room's graph as one server comes to know it.
struct Graph {
    scene: Scene,
    events: BTreeMap<OwnedEventId, Arc<Event>>,
    /// The state after each event.
    after: HashMap<OwnedEventId, StateMap>,
    heads: Vec<OwnedEventId>,
    /// What can be built upon: everything since the room was set up.
    open: Vec<OwnedEventId>,
    made: u64,
}

/// One attempt: who, what, on top of which heads, when.
#[derive(Debug, Clone)]
struct Attempt {
    sender: usize,
    deed: Deed,
    on: Vec<prop::sample::Index>,
    at: u8,
}

#[derive(Debug, Clone)]
enum Deed {
    Member(usize, &'static str),
    Power(usize, i64),
    JoinRule(&'static str),
    Topic(u8),
}

const USERS: [&str; 4] = [CREATOR, ALICE, BOB, "@carol:c"];

impl Graph {
    fn new(version: &RoomVersionId) -> Self {
        let mut levels = json!({"users": {ALICE: 50, BOB: 50}, "state_default": 0, "ban": 50});
        if version.as_str() != "12" {
            levels["users"][CREATOR] = json!(100);
        }
        let mut graph = Self {
            scene: Scene::new(version),
            events: BTreeMap::new(),
            after: HashMap::new(),
            heads: Vec::new(),
            open: Vec::new(),
            made: 10,
        };
        let create = graph.scene.read("m.room.create", "").expect("it is there");
        graph.scene.state.clear();
        graph.heads = vec![create.event_id().to_owned()];
        let place = ("m.room.create".to_owned(), String::new());
        graph.after.insert(create.event_id().to_owned(), StateMap::from([(place, graph.heads[0].clone())]));
        graph.events.insert(create.event_id().to_owned(), create);
        let join = json!({"membership": "join"});
        for (sender, kind, key, content) in [
            (CREATOR, "m.room.member", CREATOR, join.clone()),
            (CREATOR, "m.room.power_levels", "", levels),
            (CREATOR, "m.room.join_rules", "", json!({"join_rule": "public"})),
            (ALICE, "m.room.member", ALICE, join.clone()),
            (BOB, "m.room.member", BOB, join),
        ] {
            let heads = graph.heads.clone();
            assert!(graph.append(sender, kind, key, content, &heads, 1), "{kind} {key}");
        }
        graph.open = graph.heads.clone();
        graph
    }

    fn fetch(&self, id: &EventId) -> Option<Arc<Event>> {
        self.events.get(id).cloned()
    }

    fn chain(&self, state: &StateMap) -> HashSet<OwnedEventId> {
        let mut chain = HashSet::new();
        let mut open: Vec<OwnedEventId> =
            state.values().flat_map(|id| self.events[id].auth_events().to_vec()).collect();
        while let Some(id) = open.pop() {
            if chain.insert(id.clone()) {
                open.extend(self.events[&id].auth_events().iter().cloned());
            }
        }
        chain
    }

    fn resolved(&self, states: &[StateMap]) -> StateMap {
        let chains: Vec<_> = states.iter().map(|state| self.chain(state)).collect();
        resolve(self.scene.rules, states, &chains, |id| self.fetch(id)).expect("it resolves")
    }

    fn resolved_by_ruma(&self, states: &[StateMap]) -> StateMap {
        let rules = self.scene.rules;
        let typed: Vec<HashMap<(StateEventType, String), OwnedEventId>> = states
            .iter()
            .map(|state| {
                state
                    .iter()
                    .map(|((kind, key), id)| ((kind.as_str().into(), key.clone()), id.clone()))
                    .collect()
            })
            .collect();
        let chains =
            states.iter().map(|state| self.chain(state).into_iter().collect::<EventIdSet<_>>()).collect();
        let resolved = ruma::state_res::resolve(
            &rules.authorization,
            rules.state_res.v2_rules().expect("v2"),
            &typed,
            chains,
            |id| self.fetch(id).map(AsRuma::from),
            |conflicted| Some(self.subgraph(conflicted.values().flatten())),
        );
        let resolved = resolved.expect("ruma resolves it");
        resolved.into_iter().map(|((kind, key), id)| ((kind.to_string(), key), id)).collect()
    }

    /// The conflicted subgraph by its definition: what is below one conflicted event and above another.
    fn subgraph<'a>(&self, conflicted: impl Iterator<Item = &'a OwnedEventId>) -> EventIdSet<OwnedEventId> {
        let conflicted: HashSet<&OwnedEventId> = conflicted.collect();
        let below = |id: &OwnedEventId| {
            let mut below = self.chain(&StateMap::from([(Default::default(), id.clone())]));
            below.insert(id.clone());
            below
        };
        let from: HashSet<OwnedEventId> = conflicted.iter().flat_map(|id| below(id)).collect();
        from.into_iter().filter(|id| below(id).iter().any(|id| conflicted.contains(id))).collect()
    }

    /// Adds a state event on these heads if the rules allow it.
    fn append(
        &mut self,
        sender: &str,
        kind: &str,
        key: &str,
        content: Value,
        on: &[OwnedEventId],
        at: u64,
    ) -> bool {
        let states: Vec<StateMap> = on.iter().map(|id| self.after[id].clone()).collect();
        let mut state = self.resolved(&states);
        let user: &UserId = sender.try_into().expect("a user id");
        let object = canonical::object_of(&content).expect("canonical");
        let places =
            authorization::auth_types(kind, user, Some(key), &object, self.scene.rules).expect("well-formed");
        let auth_events = places
            .into_iter()
            .filter_map(|(kind, key)| state.get(&(kind.to_owned(), key)).cloned())
            .collect();
        // Ids that sort in no relation to time.
        let id = name(self.made * 7_919 % 100_003);
        self.made += 1;
        let event = self.scene.pdu(&id, sender, kind, Some(key), content, auth_events, on.to_vec());
        let event = at_time(&event, at, self.scene.rules);
        let read = |kind: &str, key: &str| {
            state.get(&(kind.to_owned(), key.to_owned())).and_then(|id| self.fetch(id))
        };
        if authorization::authorize(&event, self.scene.rules, read).is_err() {
            return false;
        }
        state.insert((kind.to_owned(), key.to_owned()), id.clone());
        self.heads.retain(|head| !on.contains(head));
        self.heads.push(id.clone());
        self.open.push(id.clone());
        self.after.insert(id.clone(), state);
        self.events.insert(id, Arc::new(event));
        true
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let mut on: Vec<OwnedEventId> =
            attempt.on.iter().map(|index| index.get(&self.open).clone()).collect();
        on.sort();
        on.dedup();
        let sender = USERS[attempt.sender];
        let (kind, key, content) = match &attempt.deed {
            Deed::Member(user, membership) => {
                ("m.room.member", USERS[*user], json!({"membership": membership}))
            }
            Deed::Power(user, level) => {
                let now = self.after[&on[0]].get(&("m.room.power_levels".to_owned(), String::new()));
                let mut levels: Value = self.events[now.expect("it has some")].content_as().expect("JSON");
                levels["users"][USERS[*user]] = json!(level);
                ("m.room.power_levels", "", levels)
            }
            Deed::JoinRule(rule) => ("m.room.join_rules", "", json!({"join_rule": rule})),
            Deed::Topic(topic) => ("m.room.topic", "", json!({"topic": topic})),
        };
        self.append(sender, kind, key, content, &on, attempt.at.into());
    }
}

fn at_time(event: &Event, at: u64, rules: &ruma::room_version_rules::RoomVersionRules) -> Event {
    let json = event.json_str().replace("\"origin_server_ts\":1,", &format!("\"origin_server_ts\":{at},"));
    Event::parse(event.event_id().to_owned(), json.into(), rules).expect("a PDU")
}

fn any_attempt() -> impl Strategy<Value = Attempt> {
    let deed = prop_oneof![
        4 => (0..4usize, prop::sample::select(vec!["join", "leave", "ban", "invite"]))
            .prop_map(|(user, membership)| Deed::Member(user, membership)),
        3 => (0..4usize, prop::sample::select(vec![0, 50, 100])).prop_map(|(user, level)| Deed::Power(user, level)),
        1 => prop::sample::select(vec!["public", "invite"]).prop_map(Deed::JoinRule),
        2 => any::<u8>().prop_map(Deed::Topic),
    ];
    let on = prop::collection::vec(any::<prop::sample::Index>(), 1..3);
    (0..4usize, deed, on, 1..5u8).prop_map(|(sender, deed, on, at)| Attempt { sender, deed, on, at })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_states_resolves_alike_and_as_ruma_does(
        attempts in prop::collection::vec(any_attempt(), 5..40),
        version in prop::sample::select(versions::SUPPORTED.to_vec()),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut graph = Graph::new(&version);
        for attempt in &attempts {
            graph.attempt(attempt);
        }
        let mut states: Vec<StateMap> = graph.heads.iter().map(|id| graph.after[id].clone()).collect();
        let resolved = graph.resolved(&states);
        prop_assert_eq!(&resolved, &graph.resolved_by_ruma(&states));
        let by = turn.index(states.len());
        states.rotate_left(by);
        prop_assert_eq!(&resolved, &graph.resolved(&states));
        states.reverse();
        prop_assert_eq!(&resolved, &graph.resolved(&states));
        // What one server resolved before does not matter either: a state twice changes nothing.
        states.push(states[0].clone());
        prop_assert_eq!(&resolved, &graph.resolved(&states));
    }
}

#[test]
fn equal_states_need_no_resolution() {
    let graph = Graph::new(&RoomVersionId::V12);
    let state = graph.after[&graph.heads[0]].clone();
    assert_eq!(graph.resolved(&[state.clone(), state.clone()]), state);
    assert_eq!(graph.resolved(&[]), StateMap::new());
}

#[test]
fn a_ban_beats_what_the_banned_did_meanwhile() {
    for version in versions::SUPPORTED {
        let mut graph = Graph::new(&version);
        let head = graph.heads.clone();
        assert!(graph.append(CREATOR, "m.room.member", BOB, json!({"membership": "ban"}), &head, 9));
        assert!(graph.append(BOB, "m.room.topic", "", json!({"topic": "mine"}), &head, 2));
        let states: Vec<StateMap> = graph.heads.iter().map(|id| graph.after[id].clone()).collect();
        let resolved = graph.resolved(&states);
        assert!(!resolved.contains_key(&("m.room.topic".to_owned(), String::new())), "{version}");
        let bob = &resolved[&("m.room.member".to_owned(), BOB.to_owned())];
        assert_eq!(authorization::membership_of(&graph.events[bob]).expect("a member").as_str(), "ban");
    }
}

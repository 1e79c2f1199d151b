use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

/// A tree with its nodes in memory, each read back from the bytes that the store would hold.
#[derive(Default)]
struct Kept {
    nodes: HashMap<Root, Arc<Node>>,
}

impl Kept {
    fn node(&self, name: &Root) -> Option<Arc<Node>> {
        self.nodes.get(name).cloned()
    }

    fn put(&mut self, root: Root, changes: Vec<Entry>) -> Root {
        self.put_in(ERA, root, changes)
    }

    fn put_in(&mut self, era: u64, root: Root, changes: Vec<Entry>) -> Root {
        let grown = put(root, changes, era, |name| self.node(name)).expect("every node is kept");
        for NewNode { name, bytes, .. } in grown.nodes {
            assert!(name.names(&bytes));
            self.nodes.insert(name, Arc::new(Node::from_bytes(&bytes).expect("a stored node reads")));
        }
        grown.root
    }
}

const ERA: u64 = 7;

fn entry(key: u16, event: u16) -> Entry {
    let event_type = if key.is_multiple_of(3) { "m.room.member" } else { "org.example.thing" };
    let event_id = EventId::parse(format!("${event}:example.org")).expect("an event id");
    Entry::new(event_type, &format!("@user{key}:example.org"), &event_id)
}

fn model(entries: &[(u16, u16)]) -> BTreeMap<(Box<str>, Box<str>), OwnedEventId> {
    entries
        .iter()
        .map(|&(key, event)| entry(key, event))
        .map(|entry| ((entry.event_type, entry.state_key), entry.event_id))
        .collect()
}

fn changes() -> impl Strategy<Value = Vec<(u16, u16)>> {
    prop::collection::vec((0u16..120, 0u16..50), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_tree_equals_a_plain_map(changes in changes()) {
        let mut kept = Kept::default();
        let root = changes.iter().fold(Root::EMPTY, |root, &(k, e)| kept.put(root, vec![entry(k, e)]));
        let model = model(&changes);
        let found: BTreeMap<_, _> = entries(root, |_| true, |name| kept.node(name)).expect("all kept")
            .into_iter().map(|e| ((e.event_type, e.state_key), e.event_id)).collect();
        prop_assert_eq!(&found, &model);
        for key in 0..120 {
            let wanted = entry(key, 0);
            let event = get(root, &wanted.event_type, &wanted.state_key, |name| kept.node(name));
            let modelled = model.get(&(wanted.event_type, wanted.state_key)).cloned();
            prop_assert_eq!(event.expect("all kept"), modelled);
        }
    }

    #[test]
    fn the_root_depends_on_the_entries_alone(changes in changes(), seed in any::<u64>()) {
        let mut kept = Kept::default();
        let one_by_one = changes.iter().fold(Root::EMPTY, |root, &(k, e)| kept.put(root, vec![entry(k, e)]));
        let mut left: Vec<Entry> = model(&changes).into_iter()
            .map(|((t, k), e)| Entry::new(&t, &k, &e)).collect();
        let places = seed as usize % left.len().max(1);
        left.rotate_left(places);
        let at_once = kept.put(Root::EMPTY, left);
        prop_assert_eq!(one_by_one, at_once);
    }

    #[test]
    fn a_diff_is_what_differs(before in changes(), after in changes()) {
        let mut kept = Kept::default();
        let old = kept.put(Root::EMPTY, before.iter().map(|&(k, e)| entry(k, e)).collect());
        let new = kept.put(old, after.iter().map(|&(k, e)| entry(k, e)).collect());
        let all: Vec<_> = before.iter().chain(&after).copied().collect();
        let (was, is) = (model(&before), model(&all));
        let wanted: Vec<_> = is.iter().filter(|(at, event)| was.get(at) != Some(event))
            .map(|((event_type, state_key), event)| Change {
                event_type: event_type.clone(), state_key: state_key.clone(),
                before: was.get(&(event_type.clone(), state_key.clone())).cloned(), after: Some(event.clone()),
            }).collect();
        prop_assert_eq!(diff(old, new, |name| kept.node(name)).expect("all kept"), wanted);
    }

    #[test]
    fn hostile_bytes_are_refused_not_followed(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Some(node) = Node::from_bytes(&bytes) {
            prop_assert_eq!(node.to_bytes(), bytes);
        }
    }
}

#[test]
fn a_change_in_a_room_of_fifty_thousand_members_writes_under_three_kilobytes() {
    let mut kept = Kept::default();
    let members = (0..50_000u32).map(|n| {
        let event_id = EventId::parse(format!("${n:043}")).expect("an event id");
        Entry::new("m.room.member", &format!("@user{n}:example.org"), &event_id)
    });
    let root = kept.put(Root::EMPTY, members.collect());
    let event_id = EventId::parse(format!("${:043}", 77_777)).expect("an event id");
    let change = vec![Entry::new("m.room.member", "@user4711:example.org", &event_id)];
    let grown = put(root, change, ERA, |name| kept.node(name)).expect("every node is kept");
    let bytes: usize = grown.nodes.iter().map(|new| new.bytes.len()).sum();
    assert!(bytes < 3_000, "{bytes} bytes in {} nodes", grown.nodes.len());
}

#[test]
fn what_is_not_at_hand_is_asked_for() {
    let mut kept = Kept::default();
    let root = kept.put(Root::EMPTY, (0..100).map(|key| entry(key, key)).collect());
    assert_eq!(get(root, "m.room.member", "@user3:example.org", |_| None), Err(Missing(vec![root])));
    let children = entries(root, |_| true, |name| (*name == root).then(|| kept.node(name)).flatten());
    assert!(matches!(children, Err(Missing(names)) if names.len() > 8));
}

#[test]
fn the_nodes_of_one_time_lie_side_by_side_behind_all_that_were_there() {
    let mut kept = Kept::default();
    let root = kept.put_in(255, Root::EMPTY, (0..100).map(|key| entry(key, key)).collect());
    let grown = put(root, vec![entry(3, 200)], 256, |name| kept.node(name)).expect("every node is kept");
    assert!(grown.nodes.len() > 1);
    assert!(grown.nodes.iter().all(|new| kept.nodes.keys().all(|old| *old < new.name)));
}

#[test]
fn what_is_there_already_makes_no_node_at_a_later_time_either() {
    let mut kept = Kept::default();
    let root = kept.put_in(1, Root::EMPTY, (0..100).map(|key| entry(key, key)).collect());
    assert_eq!(kept.put_in(2, root, vec![entry(3, 3)]), root);
}

//! Whether caches take as much memory as they say: in a process of its own, with the allocator of the server.

use std::{fs, sync::Arc};

use bytes::Bytes;
use homeserver::{config, rooms::Memory};
use rules::{
    event::Event,
    state_tree::{Entry, Root, put},
};
use ruma::{EventId, RoomVersionId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Enough that the allocator's own needs do not matter.
const CACHES_MB: u64 = 256;

/// How many bytes of this process are resident.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: u64 = pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

fn id(n: usize) -> String {
    format!("${n:043}")
}

fn event(n: usize) -> Arc<Event> {
    let state_key = if n.is_multiple_of(4) {
        format!(r#""state_key":"@somebody{n}:hearth.test","#)
    } else {
        String::new()
    };
    let json = format!(
        r#"{{"auth_events":["{}","{}","{}"],"content":{{"body":"{}"}},"depth":{n},
        "hashes":{{"sha256":"{}"}},"origin_server_ts":1,"prev_events":["{}"],"room_id":"!{:043}",
        "sender":"@somebody{n}:hearth.test",{state_key}"signatures":{{"hearth.test":{{"ed25519:1":"{}"}}}},
        "type":"m.room.member"}}"#,
        id(1),
        id(2),
        id(3),
        "a word ".repeat(n % 40),
        id(n),
        id(n - 1),
        n % 10,
        "x".repeat(86),
    );
    let rules = rules::versions::rules(&RoomVersionId::V11).expect("a supported version");
    let event_id = EventId::parse(id(n)).expect("an event id");
    Arc::new(Event::parse(event_id, Bytes::copy_from_slice(json.as_bytes()), rules).expect("an event"))
}

/// Keeps the nodes of states of rooms with `members` members, of which one after the other changes.
fn states(memory: &Memory, members: usize, changes: usize) {
    let entry = |n: usize| {
        let event_id = EventId::parse(id(n)).expect("an event id");
        Entry::new("m.room.member", &format!("@somebody{}:hearth.test", n % members), &event_id)
    };
    let mut root = Root::EMPTY;
    for n in 0..changes {
        let grow = |root, entries| put(root, entries, n as u64, |name| memory.nodes.get(name));
        // What the cache has forgotten begins anew.
        let changed = if n == 0 { None } else { grow(root, vec![entry(n)]).ok() };
        let all = || grow(Root::EMPTY, (0..members).map(entry).collect()).expect("nothing is missing");
        let grown = changed.unwrap_or_else(all);
        root = grown.root;
        grown.nodes.into_iter().for_each(|new| memory.nodes.insert(new.name, new.node));
    }
}

#[test]
fn caches_take_no_more_memory_than_they_weigh() {
    let budget = config::Memory { caches_mb: CACHES_MB };
    let check = |what: &str, fill: &dyn Fn(&Memory), weight: fn(&Memory) -> u64| {
        let memory = Memory::new(0, &budget);
        let before = resident();
        fill(&memory);
        let (took, weighs) = (resident() - before, weight(&memory));
        let permille = took * 1000 / weighs;
        assert!(permille < 1250, "{what}: {took} bytes weigh {weighs}, {permille} ‰");
        assert!(permille > 500, "{what}: {took} bytes weigh {weighs}, {permille} ‰: room is wasted");
        // Kept, so that the next does not grow into what this one leaves behind.
        std::mem::forget(memory);
    };
    // Twice of what there is room for: what goes leaves gaps.
    let fill = |memory: &Memory| {
        for event in (1..125_000).map(event) {
            memory.events.insert(event.event_id().to_owned(), event);
        }
    };
    check("events", &fill, |memory| memory.events.weight());
    for members in [3, 80, 300] {
        let fill = |memory: &Memory| states(memory, members, 60_000);
        check(&format!("states of {members}"), &fill, |memory| memory.nodes.weight());
    }
}

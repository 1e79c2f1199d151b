//! Filters: which events pass.

use proptest::prelude::*;
use rules::filter::{ENTRIES_MAX, EventFilter, Subject, WILDCARDS_MAX};
use ruma::{RoomVersionId, api::client::filter::RoomEventFilter};
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, Scene};

fn filter(filter: Value) -> EventFilter {
    let filter: RoomEventFilter = serde_json::from_value(filter).expect("a filter");
    EventFilter::of_room_events(&filter).expect("within the limits")
}

#[test]
fn what_passes() {
    let mut scene = Scene::new(&RoomVersionId::V12);
    let room = scene.room_id.clone();
    let message = scene.event(ALICE, "m.room.message", None, json!({"body": "\"url\"", "url": "mxc://a/b"}));
    let quoted = scene.event(ALICE, "m.room.message", None, json!({"body": "\"url\"", "x": {"url": 1}}));
    for (rule, passes) in [
        (json!({}), true),
        (json!({"types": []}), false),
        (json!({"types": ["m.room.message"]}), true),
        (json!({"types": ["m.room.*"]}), true),
        (json!({"types": ["*"]}), true),
        (json!({"types": ["*message"]}), true),
        (json!({"types": ["m.*.mess*ge"]}), true),
        (json!({"types": ["m.room.messag"]}), false),
        (json!({"types": ["m.room.message.*"]}), false),
        (json!({"types": ["M.room.message"]}), false),
        (json!({"types": ["m.room.messag?"]}), false),
        (json!({"types": ["a", "z", "m.room.message", "b"]}), true),
        (json!({"not_types": ["m.room.message"]}), false),
        (json!({"types": ["m.room.message"], "not_types": ["m.*"]}), false),
        (json!({"not_types": ["m.room.member"]}), true),
        (json!({"senders": [ALICE]}), true),
        (json!({"senders": [BOB]}), false),
        (json!({"senders": []}), false),
        (json!({"senders": [ALICE], "not_senders": [ALICE]}), false),
        (json!({"not_senders": [BOB]}), true),
        (json!({"rooms": [room]}), true),
        (json!({"rooms": ["!other:a"]}), false),
        (json!({"rooms": []}), false),
        (json!({"rooms": [room], "not_rooms": [room]}), false),
        (json!({"contains_url": true}), true),
        (json!({"contains_url": false}), false),
    ] {
        assert_eq!(filter(rule.clone()).admits(&message), passes, "{rule}");
    }
    assert!(!filter(json!({"contains_url": true})).admits(&quoted));
    assert!(filter(json!({"contains_url": false})).admits(&quoted));
    for (rule, nothing) in [
        (json!({"types": []}), true),
        (json!({"rooms": []}), true),
        (json!({"senders": []}), true),
        (json!({}), false),
    ] {
        assert_eq!(filter(rule).admits_nothing(), nothing);
    }
    assert_eq!(filter(json!({"limit": 7})).limit, Some(7));
}

#[test]
fn things_that_are_no_events() {
    let typing = Subject { event_type: "m.typing", sender: None, room_id: None, has_url: false };
    assert!(filter(json!({"types": ["m.typing"]})).admits_subject(&typing));
    assert!(!filter(json!({"not_types": ["m.*"]})).admits_subject(&typing));
    assert!(!filter(json!({"senders": [ALICE]})).admits_subject(&typing));
    assert!(filter(json!({"not_senders": [ALICE]})).admits_subject(&typing));
    let presence = Subject { sender: Some(ALICE), ..typing };
    assert!(filter(json!({"senders": [ALICE]})).admits_subject(&presence));
    let of_presence = serde_json::from_value(json!({"not_senders": [ALICE]})).expect("a filter");
    let of_presence = EventFilter::of_events(&of_presence).expect("within the limits");
    assert!(!of_presence.admits_subject(&presence));
}

#[test]
fn lists_are_limited() {
    let many: Vec<String> = (0..=ENTRIES_MAX).map(|number| format!("t{number}")).collect();
    EventFilter::read_events(json!({ "types": many[1..] })).expect("just enough");
    EventFilter::read_events(json!({ "types": many })).expect_err("one too many");
    let wild: Vec<String> = (0..=WILDCARDS_MAX).map(|number| format!("t{number}*")).collect();
    for (types, fine) in [(&wild[1..], true), (&wild[..], false)] {
        let filter = serde_json::from_value(json!({"types": types})).expect("a filter");
        assert_eq!(EventFilter::of_room_events(&filter).is_ok(), fine);
    }
}

#[test]
fn ids_may_have_wildcards_as_in_2015() {
    let subject = |sender: &'static str| Subject {
        event_type: "m.room.message",
        sender: Some(sender),
        room_id: Some(ruma::room_id!("!kitchen:hearth.test")),
        has_url: false,
    };
    let (alice, bob) = (subject("@alice:hearth.test"), subject("@bob:elsewhere.test"));
    for (part, of_alice, of_bob) in [
        (json!({ "senders": ["@ali*"] }), true, false),
        (json!({ "senders": ["*:elsewhere.test", "@alice:hearth.test"] }), true, true),
        (json!({ "senders": ["*"], "not_senders": ["@*:elsewhere.*"] }), true, false),
        (json!({ "senders": [] }), false, false),
        (json!({ "rooms": ["!kit*"] }), true, true),
        (json!({ "rooms": ["*:elsewhere.test"] }), false, false),
        (json!({ "not_rooms": ["*"] }), false, false),
        (json!({ "not_types": ["m.*.message"] }), false, false),
    ] {
        let filter = EventFilter::read_room_events(part.clone()).expect("a filter");
        assert_eq!(
            [filter.admits_subject(&alice), filter.admits_subject(&bob)],
            [of_alice, of_bob],
            "{part}"
        );
    }
    let presence = EventFilter::read_events(json!({ "not_senders": ["@b*"] })).expect("a filter");
    assert!(presence.admits_subject(&alice) && !presence.admits_subject(&bob));
    for wrong in
        [json!({ "senders": ["alice"] }), json!({ "rooms": [1] }), json!({ "rooms": "*" }), json!([])]
    {
        EventFilter::read_room_events(wrong).expect_err("no filter");
    }
    let many = vec!["@*"; WILDCARDS_MAX + 1];
    EventFilter::read_room_events(json!({ "senders": many })).expect_err("too many wildcards");
}

/// `*` matches any sequence: the definition, slow and plain.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|from| matches(rest, &text[from..])),
        Some((byte, rest)) => {
            text.split_first().is_some_and(|(first, text)| first == byte && matches(rest, text))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_star_matches_any_sequence(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
        let subject = Subject { event_type: &text, sender: None, room_id: None, has_url: false };
        let found = filter(json!({"types": [pattern]})).admits_subject(&subject);
        prop_assert_eq!(found, matches(pattern.as_bytes(), text.as_bytes()));
    }
}

/// What a `RoomEventFilter` means, slow and plain.
fn admits(filter: &Value, event: &rules::event::Event) -> bool {
    let list = |key: &str| {
        let list = filter.get(key)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    let equal = |entry: &String, text: &str| entry == text;
    let like = |entry: &String, text: &str| matches(entry.as_bytes(), text.as_bytes());
    let both = |name: &str, text: &str, fits: &dyn Fn(&String, &str) -> bool| {
        let wanted = list(name).is_none_or(|list| list.iter().any(|entry| fits(entry, text)));
        let unwanted = list(&format!("not_{name}")).unwrap_or_default();
        wanted && !unwanted.iter().any(|entry| fits(entry, text))
    };
    let content: Value = event.content_as().expect("content");
    let url = filter.get("contains_url").and_then(Value::as_bool);
    both("types", event.event_type(), &like)
        && both("senders", event.sender().as_str(), &equal)
        && both("rooms", event.room_id().as_str(), &equal)
        && url.is_none_or(|url| url == content.get("url").is_some())
}

prop_compose! {
    /// A list of some of these, or none at all.
    fn list(entries: &'static [&'static str])(
        list in proptest::option::of(proptest::sample::subsequence(entries, 0..=entries.len())),
    ) -> Value {
        list.map_or(Value::Null, |list| json!(list))
    }
}

const TYPES: [&str; 7] = ["m.a", "m.b", "m.*", "*", "*.a", "m.a*", "x"];
const SENDERS: [&str; 3] = [ALICE, BOB, "@carol:a"];
const ROOMS: [&str; 3] = ["!a:a", "!b:a", "!c:a"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_admits_what_its_fields_say(
        types in list(&TYPES), not_types in list(&TYPES),
        senders in list(&SENDERS), not_senders in list(&SENDERS),
        rooms in list(&ROOMS), not_rooms in list(&ROOMS),
        url in proptest::option::of(any::<bool>()),
        event_type in proptest::sample::select(&["m.a", "m.b", "m.ab", "n.a", "x"][..]),
        sender in proptest::sample::select(&SENDERS[..2]),
        room in proptest::sample::select(&ROOMS[..2]),
        content in proptest::sample::select(&["{}", r#"{"url":"mxc://a/b"}"#, r#"{"url":null}"#, r#"{"a":{"url":1}}"#][..]),
    ) {
        let mut wanted = json!({
            "types": types, "not_types": not_types, "senders": senders, "not_senders": not_senders,
            "rooms": rooms, "not_rooms": not_rooms, "contains_url": url,
        });
        wanted.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let pdu = format!(
            r#"{{"auth_events":[],"content":{content},"depth":1,"origin_server_ts":1,"prev_events":[],
                "room_id":"{room}","sender":"{sender}","type":"{event_type}"}}"#
        );
        let rules = rules::versions::rules(&RoomVersionId::V11).expect("a version");
        let event_id = ruma::EventId::parse("$x").expect("an id");
        let event = rules::event::Event::parse(event_id, pdu.into(), rules).expect("a PDU");
        let compiled = filter(wanted.clone());
        prop_assert_eq!(compiled.admits(&event), admits(&wanted, &event), "{}", wanted);
        prop_assert!(!(compiled.admits_nothing() && compiled.admits(&event)));
        let subject = Subject {
            event_type,
            sender: Some(sender),
            room_id: Some(event.room_id()),
            has_url: content.starts_with(r#"{"url""#),
        };
        prop_assert_eq!(compiled.admits_subject(&subject), admits(&wanted, &event), "{}", wanted);
    }
}

#[test]
fn a_hostile_pattern_costs_little() {
    let pattern = "a*".repeat(120) + "b";
    let text = "a".repeat(250);
    let subject = Subject { event_type: &text, sender: None, room_id: None, has_url: false };
    let filter = filter(json!({"types": [pattern]}));
    assert!((0..10_000).all(|_| !filter.admits_subject(&subject)));
}

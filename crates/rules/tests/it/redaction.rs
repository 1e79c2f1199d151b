//! What redaction leaves, by room version.

use proptest::prelude::*;
use rules::{event::Event, power_levels::PowerLevels, redaction, versions};
use ruma::RoomVersionId;
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, CREATOR, Scene, name};

fn number(version: &RoomVersionId) -> u8 {
    version.as_str().parse().expect("a number")
}

/// The content that is left of an event of this type.
fn left(version: &RoomVersionId, kind: &str, content: &Value) -> Value {
    let scene = Scene::new(version);
    let event = scene.pdu(&name(60), CREATOR, kind, Some(""), content.clone(), vec![], vec![]);
    let redacted = redaction::redacted(event.json(), scene.rules).expect("a PDU");
    let event = Event::parse(name(60), redacted.into(), scene.rules).expect("still a PDU");
    event.content_as().expect("JSON")
}

#[test]
fn what_is_left_of_the_content() {
    let user = json!({"membership": "join", "displayname": "A", "join_authorised_via_users_server": "@b:c",
        "third_party_invite": {"display_name": "A", "signed": {"mxid": "@b:c"}}});
    let levels = json!({"ban": 1, "events": {}, "events_default": 1, "invite": 1, "kick": 1, "redact": 1,
        "state_default": 1, "users": {}, "users_default": 1, "notifications": {}, "x": 1});
    for version in versions::SUPPORTED {
        let since = |first: u8| number(&version) >= first;
        let check = |kind: &str, content: &Value, kept: &[(&str, bool)]| {
            let mut expected = json!({});
            for (key, _) in kept.iter().filter(|(_, kept)| *kept) {
                expected[*key] = content[*key].clone();
            }
            assert_eq!(left(&version, kind, content), expected, "{kind} in version {version}");
        };
        check("m.room.message", &json!({"body": "x", "membership": "y"}), &[]);
        check("m.room.name", &json!({"name": "x"}), &[]);
        check("m.room.aliases", &json!({"aliases": ["#x:y"]}), &[]);
        check("m.room.redaction", &json!({"redacts": "$x", "reason": "y"}), &[("redacts", since(11))]);
        check(
            "m.room.create",
            &json!({"creator": CREATOR, "room_version": version.as_str(), "m.federate": false}),
            &[("creator", true), ("room_version", since(11)), ("m.federate", since(11))],
        );
        check(
            "m.room.join_rules",
            &json!({"join_rule": "restricted", "allow": [], "x": 1}),
            &[("join_rule", true), ("allow", since(8))],
        );
        check(
            "m.room.history_visibility",
            &json!({"history_visibility": "joined", "x": 1}),
            &[("history_visibility", true)],
        );
        let kept =
            ["ban", "events", "events_default", "kick", "redact", "state_default", "users", "users_default"];
        let mut kept: Vec<_> = kept.into_iter().map(|key| (key, true)).collect();
        kept.push(("invite", since(11)));
        check("m.room.power_levels", &levels, &kept);

        let mut member = json!({"membership": "join"});
        if since(9) {
            member["join_authorised_via_users_server"] = json!("@b:c");
        }
        if since(11) {
            member["third_party_invite"] = json!({"signed": {"mxid": "@b:c"}});
        }
        assert_eq!(left(&version, "m.room.member", &user), member, "version {version}");
    }
}

#[test]
fn which_redactions_take_effect() {
    let scene = Scene::new(&RoomVersionId::V12).power_levels(json!({"redact": 50, "users": {BOB: 50}}));
    let read = |kind: &str| scene.read(kind, "").expect("it is there");
    let levels = PowerLevels::of(&read("m.room.create"), Some(&read("m.room.power_levels")), scene.rules);
    let levels = levels.expect("well-formed");
    let message =
        |scene: &Scene| scene.pdu(&name(60), ALICE, "m.room.message", None, json!({}), vec![], vec![]);
    let applies = |sender: &str, of: u64| {
        let content = json!({"redacts": name(of)});
        let redaction = scene.pdu(&name(61), sender, "m.room.redaction", None, content, vec![], vec![]);
        redaction::applies(&redaction, &message(&scene), &levels)
    };
    for (sender, expected) in
        [(ALICE, true), ("@eve:a", true), (BOB, true), ("@eve:b", false), (CREATOR, true)]
    {
        assert_eq!(applies(sender, 60), expected, "{sender}");
        assert!(!applies(sender, 59), "of another event");
    }
    let mut elsewhere = scene.clone();
    elsewhere.room_id = "!other:a".to_owned();
    let content = json!({"redacts": name(60)});
    let redaction = elsewhere.pdu(&name(61), ALICE, "m.room.redaction", None, content, vec![], vec![]);
    assert!(!redaction::applies(&redaction, &message(&scene), &levels), "of another room");
}

#[test]
fn what_is_left_of_the_event() {
    for version in versions::SUPPORTED {
        let rules = versions::rules(&version).expect("supported");
        let old = number(&version) < 11;
        let pdu = json!({
            "auth_events": [], "content": {"body": "x"}, "depth": 1, "event_id": "$x", "hashes": {},
            "membership": "join", "origin": "a", "origin_server_ts": 1, "prev_events": [], "prev_state": [],
            "redacts": "$y", "room_id": "!r:a", "sender": "@u:a", "signatures": {}, "state_key": "",
            "type": "m.room.message", "unsigned": {"age": 1}, "x": 1,
        });
        let redacted = redaction::redacted(pdu.to_string().as_bytes(), rules).expect("a PDU");
        let redacted: Value = serde_json::from_slice(&redacted).expect("JSON");
        let mut expected = pdu.clone();
        expected["content"] = json!({});
        for key in ["redacts", "unsigned", "x"] {
            expected.as_object_mut().expect("an object").remove(key);
        }
        for key in ["membership", "origin", "prev_state"].into_iter().filter(|_| !old) {
            expected.as_object_mut().expect("an object").remove(key);
        }
        assert_eq!(redacted, expected, "version {version}");
    }
}

fn any_content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([1, {"a": 2}])), Just(Value::Null)];
    let key = prop::sample::select(vec![
        "membership",
        "join_rule",
        "allow",
        "users",
        "ban",
        "invite",
        "history_visibility",
        "redacts",
        "body",
        "signed",
        "third_party_invite",
        "creator",
        "room_version",
        "join_authorised_via_users_server",
        "x",
    ]);
    let inner = prop::collection::btree_map(key.clone(), leaf.clone(), 0..4).prop_map(|map| json!(map));
    prop::collection::btree_map(key, prop_oneof![leaf, inner], 0..8).prop_map(|map| json!(map))
}

/// Whether `part` has nothing that `whole` has not.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|whole| is_part(value, whole)))
        }
        (part, whole) => part == whole,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redacting_takes_away_once_and_adds_nothing(
        version in prop::sample::select(versions::SUPPORTED.to_vec()),
        kind in prop::sample::select(vec![
            "m.room.member", "m.room.create", "m.room.join_rules", "m.room.power_levels", "m.room.redaction",
            "m.room.history_visibility", "m.room.message", "m.room.aliases", "m.room.name", "m.room.third_party_invite",
        ]),
        content in any_content(),
    ) {
        let scene = Scene::new(&version);
        let event = scene.pdu(&name(60), CREATOR, kind, Some(""), content, vec![], vec![]);
        let once = redaction::redacted(event.json(), scene.rules).expect("a PDU");
        let read = |json: &[u8]| serde_json::from_slice::<Value>(json).expect("JSON");
        prop_assert!(is_part(&read(&once), &read(event.json())), "{}", event.json_str());
        prop_assert_eq!(&redaction::redacted(&once, scene.rules).expect("a PDU"), &once, "once is enough");
        // What is left of the content alone is what is left of the content in the event.
        let content = rules::canonical::canonical_object(event.content_str().as_bytes()).expect("canonical");
        let left = redaction::redacted_content(kind, &content, scene.rules);
        prop_assert_eq!(read(&left), read(&once)["content"].clone());
        // It is the same event: what its id is made of is untouched.
        let id = |json: &[u8]| {
            let object = rules::canonical::canonical_object(json).expect("canonical");
            ruma::signatures::reference_hash(&object, scene.rules).ok()
        };
        prop_assert_eq!(id(&once), id(event.json()));
    }
}

//! What clients and servers get of an event.

use rules::format::{Format, Unsigned, client_event, federation_event, stripped_state, stripped_state_v1};
use ruma::{RoomVersionId, events::room::member::MembershipState};
use serde_json::{Value, json};

use crate::scene::{CREATOR, Scene, name};

fn value(raw: &serde_json::value::RawValue) -> Value {
    serde_json::from_str(raw.get()).expect("JSON")
}

#[test]
fn a_client_gets_these_keys_and_no_others() {
    let mut scene = Scene::new(&RoomVersionId::V12);
    let content = json!({"body": "\"quoted\" \\ \u{1} ä"});
    let message = scene.event(CREATOR, "org.example.\"odd\"", None, content.clone());
    let expected = json!({
        "content": content, "event_id": message.event_id(), "origin_server_ts": 1, "sender": CREATOR,
        "type": "org.example.\"odd\"",
    });
    assert_eq!(value(&client_event(&message, None, false)), expected);

    let state = scene.event(CREATOR, "m.room.topic", Some("k\n"), json!({"topic": "x"}));
    let unsigned = Unsigned { age_ms: Some(5), ..Unsigned::default() }.to_json();
    let expected = json!({
        "content": {"topic": "x"}, "event_id": state.event_id(), "origin_server_ts": 1, "sender": CREATOR,
        "room_id": scene.room_id, "state_key": "k\n", "type": "m.room.topic", "unsigned": {"age": 5},
    });
    assert_eq!(value(&client_event(&state, unsigned.as_deref(), true)), expected);
    assert_eq!(
        value(&stripped_state(&state)),
        json!({"content": {"topic": "x"}, "sender": CREATOR, "state_key": "k\n", "type": "m.room.topic"})
    );
}

#[test]
fn a_redaction_names_its_target_in_both_places() {
    for version in [RoomVersionId::V10, RoomVersionId::V11] {
        for reason in [json!({}), json!({"reason": "spam"})] {
            let scene = Scene::new(&version);
            let mut content = reason.clone();
            content["redacts"] = json!("$gone");
            let new = scene.rules.redaction.content_field_redacts;
            let stored = if new { content.clone() } else { reason };
            let event = scene.pdu(&name(70), CREATOR, "m.room.redaction", None, stored, vec![], vec![]);
            let event = if new {
                event
            } else {
                let json = event.json_str().replacen('{', r#"{"redacts":"$gone","#, 1);
                rules::event::Event::parse(name(70), json.into(), scene.rules).expect("a PDU")
            };
            assert_eq!(event.redacts().map(|id| id.as_str()), Some("$gone"));
            let client = value(&client_event(&event, None, false));
            assert_eq!((&client["content"], &client["redacts"]), (&content, &json!("$gone")), "{version}");
        }
    }
}

#[test]
fn a_redaction_without_a_target_redacts_nothing() {
    for version in [RoomVersionId::V10, RoomVersionId::V11] {
        for content in
            [json!({}), json!({"redacts": 1}), json!({"redacts": null}), json!({"redacts": "gone"})]
        {
            let scene = Scene::new(&version);
            let event = scene.pdu(&name(70), CREATOR, "m.room.redaction", None, content, vec![], vec![]);
            assert_eq!(event.redacts(), None);
        }
    }
}

#[test]
fn a_server_gets_the_pdu() {
    let mut scene = Scene::new(&RoomVersionId::V12);
    let event = scene.event(CREATOR, "m.room.topic", Some(""), json!({}));
    assert_eq!(federation_event(&event, None).get(), event.json_str());
    let with = federation_event(&event, Some(r#"{"age":3}"#));
    assert_eq!(value(&with)["unsigned"], json!({"age": 3}));
    assert!(with.get().starts_with(event.json_str().trim_end_matches('}')));
}

#[test]
fn unsigned_has_what_is_known() {
    assert_eq!(Unsigned::default().to_json(), None);
    let user = CREATOR.try_into().expect("a user id");
    let id = name(5);
    let all = Unsigned {
        age_ms: Some(-1),
        membership: Some(&MembershipState::Join),
        prev_content_json: Some(r#"{"a":1}"#),
        prev_sender: Some(user),
        replaces_state: Some(&id),
        redacted_because_json: Some(r#"{"b":1}"#),
        transaction_id: Some("t\"1"),
        delay_id: Some("d1"),
        relations_json: Some(r#"{"m.thread":{}}"#),
        invite_room_state_json: Some("[]"),
        knock_room_state_json: Some("[1]"),
    };
    let written: Value = serde_json::from_str(&all.to_json().expect("much")).expect("JSON");
    assert_eq!(
        written,
        json!({
            "age": -1, "membership": "join", "prev_content": {"a": 1}, "prev_sender": CREATOR,
            "replaces_state": id, "redacted_because": {"b": 1}, "transaction_id": "t\"1",
            "m.relations": {"m.thread": {}}, "invite_room_state": [], "knock_room_state": [1],
            "org.matrix.msc4140.delay_id": "d1",
        })
    );
}

/// `event` as a client of 2015 gets it.
fn v1(event: &rules::event::Event, unsigned: &Unsigned<'_>, with_room_id: bool) -> Value {
    let mut out = String::new();
    Format::V1.write(&mut out, event, unsigned, with_room_id);
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn a_client_of_2015_gets_everything_at_the_top() {
    let mut scene = Scene::new(&RoomVersionId::V10);
    let message = scene.event(CREATOR, "m.room.message", None, json!({"body": "\"x\""}));
    assert_eq!(
        v1(&message, &Unsigned::default(), false),
        json!({
            "content": {"body": "\"x\""}, "event_id": message.event_id(), "origin_server_ts": 1,
            "type": "m.room.message", "user_id": CREATOR,
        })
    );
    let state = scene.event(CREATOR, "m.room.topic", Some("k\n"), json!({"topic": "x"}));
    let user = CREATOR.try_into().expect("a user id");
    let id = name(5);
    let all = Unsigned {
        age_ms: Some(7),
        membership: Some(&MembershipState::Join),
        prev_content_json: Some(r#"{"topic":"y"}"#),
        prev_sender: Some(user),
        replaces_state: Some(&id),
        redacted_because_json: Some(r#"{"type":"m.room.redaction"}"#),
        transaction_id: Some("t1"),
        delay_id: Some("d1"),
        relations_json: Some("{}"),
        invite_room_state_json: Some("[]"),
        knock_room_state_json: Some("[]"),
    };
    assert_eq!(
        v1(&state, &all, true),
        json!({
            "age": 7, "content": {"topic": "x"}, "event_id": state.event_id(), "invite_room_state": [],
            "origin_server_ts": 1, "prev_content": {"topic": "y"},
            "redacted_because": {"type": "m.room.redaction"}, "replaces_state": id,
            "room_id": scene.room_id, "state_key": "k\n", "transaction_id": "t1", "type": "m.room.topic",
            "user_id": CREATOR,
        })
    );
    let stripped: Value = serde_json::from_str(&stripped_state_v1([&state, &state])).expect("JSON");
    let one = json!({"content": {"topic": "x"}, "state_key": "k\n", "type": "m.room.topic"});
    assert_eq!(stripped, json!([one, one]));
    assert_eq!(stripped_state_v1([]), "[]");
}

#[test]
fn a_redaction_of_2015_names_its_target_beside_the_content() {
    let scene = Scene::new(&RoomVersionId::V10);
    let event = scene.pdu(&name(70), CREATOR, "m.room.redaction", None, json!({}), vec![], vec![]);
    let json = event.json_str().replacen('{', r#"{"redacts":"$gone","#, 1);
    let event = rules::event::Event::parse(name(70), json.into(), scene.rules).expect("a PDU");
    let told = v1(&event, &Unsigned::default(), false);
    assert_eq!((&told["redacts"], &told["content"]), (&json!("$gone"), &json!({})));
}

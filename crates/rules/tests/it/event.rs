//! What we build is what ruma builds, and what the specification's vectors say.

use bytes::Bytes;
use proptest::prelude::*;
use rules::{
    Refused, canonical,
    event::{Draft, Event, PDU_BYTES_MAX, required_signers},
    signing_key::SigningKey,
    versions,
};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, MilliSecondsSinceUnixEpoch, RoomVersionId, UInt,
    server_name,
    signatures::{PublicKeyMap, PublicKeySet},
};
use serde_json::json;

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32], "a_test").expect("32 bytes are a key")
}

fn keys(key: &SigningKey) -> PublicKeyMap {
    let public = ruma::serde::Base64::parse(key.public_key()).expect("we wrote it");
    let set = PublicKeySet::from([(key.key_id().to_string(), public)]);
    PublicKeyMap::from([("example.org".to_owned(), set)])
}

fn draft(event_type: &str, state_key: Option<&str>, content: CanonicalJsonObject) -> Draft {
    Draft {
        room_id: Some("!room:example.org".try_into().expect("a room id")),
        sender: "@alice:example.org".try_into().expect("a user id"),
        event_type: event_type.to_owned(),
        state_key: state_key.map(str::to_owned),
        content,
        redacts: None,
        prev_events: vec![EventId::parse("$prev").expect("an event id")],
        auth_events: vec![EventId::parse("$auth").expect("an event id")],
        depth: 12,
        origin_server_ts: MilliSecondsSinceUnixEpoch(UInt::from(1_700_000u32)),
    }
}

/// What ruma makes of a draft: the PDU and its event id.
fn built_by_ruma(draft: &Draft, version: &RoomVersionId) -> (CanonicalJsonObject, String) {
    let rules = versions::rules(version).expect("a supported version");
    let mut pdu = json!({
        "auth_events": draft.auth_events,
        "content": draft.content,
        "depth": draft.depth,
        "origin_server_ts": draft.origin_server_ts,
        "prev_events": draft.prev_events,
        "sender": draft.sender,
        "type": draft.event_type,
    });
    if let Some(room_id) = &draft.room_id {
        pdu["room_id"] = json!(room_id);
    }
    if let Some(state_key) = &draft.state_key {
        pdu["state_key"] = json!(state_key);
    }
    if let Some(redacts) = &draft.redacts {
        if rules.redaction.content_field_redacts {
            pdu["content"]["redacts"] = json!(redacts);
        } else {
            pdu["redacts"] = json!(redacts);
        }
    }
    let CanonicalJsonValue::Object(mut pdu) = pdu.try_into().expect("canonical") else {
        unreachable!("an object")
    };
    let pair = ruma::signatures::Ed25519KeyPair::from_der(&pkcs8([7; 32]), "a_test".to_owned())
        .expect("a PKCS#8 document");
    ruma::signatures::hash_and_sign_event("example.org", &pair, &mut pdu, &rules.redaction)
        .expect("ruma signs it");
    let id = ruma::signatures::reference_hash(&pdu, rules).expect("ruma hashes it");
    (pdu, format!("${id}"))
}

fn pkcs8(seed: [u8; 32]) -> Vec<u8> {
    let mut document = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    document.extend(seed);
    document
}

fn same_as_ruma(draft: Draft, version: &RoomVersionId) {
    let rules = versions::rules(version).expect("a supported version");
    let (pdu, event_id) = built_by_ruma(&draft, version);
    let event = Event::build(draft, &key(), server_name!("example.org"), rules).expect("it is legal");
    let expected = serde_json::to_string(&pdu).expect("canonical");
    assert_eq!(event.json_str(), expected);
    assert_eq!(event.event_id(), event_id.as_str());
    assert_eq!(event.content_str(), serde_json::to_string(&pdu["content"]).expect("canonical"));
    let stored = Event::parse(event.event_id().to_owned(), Bytes::from(expected), rules).expect("it is ours");
    assert_eq!(format!("{stored:?}"), format!("{event:?}"), "parsing gives back what was built");
}

#[test]
fn every_version_builds_what_ruma_builds() {
    for version in versions::SUPPORTED {
        let members = json!({"membership": "join", "displayname": "Älice\u{1}\"", "reason": "x"});
        let content = canonical::object_of(&members).expect("canonical");
        same_as_ruma(draft("m.room.member", Some("@alice:example.org"), content.clone()), &version);
        same_as_ruma(draft("m.room.message", None, content.clone()), &version);
        let mut redaction = draft("m.room.redaction", None, content);
        redaction.redacts = Some(EventId::parse("$gone").expect("an event id"));
        same_as_ruma(redaction, &version);
    }
}

fn any_json() -> impl Strategy<Value = CanonicalJsonValue> {
    let leaf = prop_oneof![
        Just(CanonicalJsonValue::Null),
        any::<bool>().prop_map(CanonicalJsonValue::from),
        any::<i32>().prop_map(|number| CanonicalJsonValue::Integer(number.into())),
        any::<String>().prop_map(CanonicalJsonValue::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(CanonicalJsonValue::Array),
            prop::collection::btree_map(any_key(), inner, 0..4).prop_map(CanonicalJsonValue::Object),
        ]
    })
}

/// Keys that redaction knows, and others.
fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "membership",
            "creator",
            "join_rule",
            "allow",
            "users",
            "invite",
            "redacts",
            "signed",
            "third_party_invite",
            "join_authorised_via_users_server",
            "history_visibility",
            "aliases",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_content_we_build_what_ruma_builds(
        content in prop::collection::btree_map(any_key(), any_json(), 0..5),
        event_type in prop_oneof![
            prop::sample::select(vec![
                "m.room.member", "m.room.create", "m.room.join_rules", "m.room.power_levels",
                "m.room.history_visibility", "m.room.redaction", "m.room.aliases", "m.room.message",
            ]).prop_map(str::to_owned),
            "[\\PC]{0,40}",
        ],
        state_key in prop::option::of("[\\PC]{0,40}"),
        version in prop::sample::select(versions::SUPPORTED.to_vec()),
        redacts in any::<bool>(),
    ) {
        let mut draft = draft(&event_type, state_key.as_deref(), content);
        if redacts && event_type == "m.room.redaction" {
            draft.redacts = Some(EventId::parse("$gone").expect("an event id"));
        }
        same_as_ruma(draft, &version);
    }
}

#[test]
fn what_we_build_verifies_and_what_is_changed_does_not() {
    for version in versions::SUPPORTED {
        let rules = versions::rules(&version).expect("a supported version");
        let content = canonical::object_of(&json!({"body": "hello"})).expect("canonical");
        let event =
            Event::build(draft("m.room.message", None, content), &key(), server_name!("example.org"), rules)
                .expect("it is legal");
        let verified = Event::verify(event.json(), &keys(&key()), rules).expect("it is ours");
        assert_eq!(format!("{verified:?}"), format!("{event:?}"));

        // Another body: the signature holds, the content hash does not, the redacted form remains.
        let changed = event.json_str().replace("hello", "hullo");
        let redacted = Event::verify(changed.as_bytes(), &keys(&key()), rules).expect("redacted");
        assert_eq!(redacted.content_str(), "{}");
        assert_eq!(redacted.event_id(), event.event_id());

        // Another sender: the signature does not hold.
        let forged = event.json_str().replace("@alice:", "@mallory:");
        Event::verify(forged.as_bytes(), &keys(&key()), rules).expect_err("not signed");
    }
}

fn build(draft: Draft) -> Result<Event, Refused> {
    let rules = versions::rules(&RoomVersionId::V12).expect("a supported version");
    Event::build(draft, &key(), server_name!("example.org"), rules)
}

fn message(body: usize) -> Draft {
    let body = json!({"body": "x".repeat(body)});
    draft("m.room.message", None, canonical::object_of(&body).expect("canonical"))
}

#[test]
fn sizes_are_limited() {
    let rest = build(message(0)).expect("it is small").json().len();
    let largest = build(message(PDU_BYTES_MAX - rest)).expect("it just fits");
    assert_eq!(largest.json().len(), PDU_BYTES_MAX);
    assert!(matches!(build(message(PDU_BYTES_MAX - rest + 1)), Err(Refused::TooLarge { what: "event", .. })));
    // What we may send, others may send to us.
    let rules = versions::rules(&RoomVersionId::V12).expect("a supported version");
    Event::verify(largest.json(), &keys(&key()), rules).expect("it just fits");

    let long = "\u{e9}".repeat(128);
    assert!(matches!(
        build(draft(&long, None, CanonicalJsonObject::new())),
        Err(Refused::TooLarge { what: "type", bytes: 256, bytes_max: 255 })
    ));
    let state = build(draft("m.x", Some(&long), CanonicalJsonObject::new()));
    assert!(matches!(state, Err(Refused::TooLarge { what: "state_key", .. })));
    let ids = |count: usize| vec![EventId::parse("$x").expect("an event id"); count];
    for (prev, auth, fine) in [(20, 10, true), (21, 10, false), (20, 11, false)] {
        let draft = Draft { prev_events: ids(prev), auth_events: ids(auth), ..message(1) };
        assert_eq!(build(draft).is_ok(), fine, "{prev} {auth}");
    }
    let deep = build(Draft { depth: u64::MAX, ..message(1) }).expect("it is capped");
    assert_eq!(deep.depth(), (1 << 53) - 1);
    let redacts = Some(EventId::parse("$x").expect("an event id"));
    build(Draft { redacts, ..message(1) }).expect_err("a message redacts nothing");
}

#[test]
fn malformed_pdus_are_refused() {
    let rules = versions::rules(&RoomVersionId::V12).expect("a supported version");
    let good = build(message(1)).expect("it is legal");
    let pdu: serde_json::Value = serde_json::from_slice(good.json()).expect("JSON");
    let long = "x".repeat(256);
    for (field, value) in [
        ("type", json!(null)),
        ("type", json!(1)),
        ("type", json!(long)),
        ("sender", json!(null)),
        ("sender", json!("alice")),
        ("sender", json!(long)),
        ("room_id", json!(null)),
        ("room_id", json!("x")),
        ("state_key", json!(1)),
        ("state_key", json!(long)),
        ("content", json!([])),
        ("content", json!("x")),
        ("depth", json!(-1)),
        ("depth", json!("1")),
        ("prev_events", json!({})),
        ("prev_events", json!([1])),
        ("prev_events", json!(vec!["$x"; 21])),
        ("auth_events", json!(vec!["$x"; 11])),
        ("auth_events", json!([["$x", {}]])),
        ("origin_server_ts", json!(-1)),
        ("origin_server_ts", json!("1")),
        ("hashes", json!({})),
        ("hashes", json!(1)),
        ("signatures", json!({})),
        ("signatures", json!(1)),
        ("signatures", json!({"example.org": {"ed25519:a_test": "!"}})),
        ("signatures", json!({"example.org": {"ed25519:other": "AAAA"}})),
    ] {
        let mut pdu = pdu.clone();
        match value {
            serde_json::Value::Null => drop(pdu.as_object_mut().expect("an object").remove(field)),
            ref value => pdu[field] = value.clone(),
        }
        let refused = Event::verify(pdu.to_string().as_bytes(), &keys(&key()), rules)
            .expect_err(&format!("{field}: {value}"));
        // Whatever has a form is judged by its signature: it was signed in another.
        let by_signature = matches!(refused, Refused::Signature(_));
        let formed = ["signatures", "hashes"].contains(&field) || (field == "room_id" && value == json!("x"));
        assert_eq!(by_signature, formed, "{field}: {value}: {refused}");
    }
}

#[test]
fn who_must_sign() {
    let signers = |content: serde_json::Value, kind: &str, version: &RoomVersionId| {
        let rules = versions::rules(version).expect("a supported version");
        let event = draft(kind, Some("@bob:b"), canonical::object_of(&content).expect("canonical"));
        let event = Event::build(event, &key(), server_name!("example.org"), rules).expect("it is legal");
        let signers = required_signers(event.json(), rules).expect("it is legal");
        signers.into_iter().collect::<Vec<_>>().join(" ")
    };
    let via = json!({"membership": "join", "join_authorised_via_users_server": "@carol:c"});
    let third = json!({"membership": "invite", "third_party_invite": {"signed": {}}});
    let (v7, v8) = (RoomVersionId::V7, RoomVersionId::V8);
    assert_eq!(signers(json!({"membership": "join"}), "m.room.member", &v8), "example.org");
    assert_eq!(signers(via.clone(), "m.room.member", &v7), "example.org");
    assert_eq!(signers(via.clone(), "m.room.member", &v8), "c example.org");
    assert_eq!(signers(via, "m.room.message", &v8), "example.org");
    assert_eq!(signers(third.clone(), "m.room.member", &v8), "");
    assert_eq!(signers(third, "m.room.message", &v8), "example.org");
}

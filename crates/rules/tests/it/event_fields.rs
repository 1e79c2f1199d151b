//! `event_fields`: what a client wants of each event.

use proptest::prelude::*;
use rules::event_fields::{EventFields, FIELDS_MAX, KEYS_MAX};
use serde_json::{Map, Value, json};

fn of(fields: &[&str], event: &Value) -> Value {
    let fields = EventFields::new(fields).expect("within the limits");
    serde_json::from_str(&fields.of(&event.to_string())).expect("JSON")
}

/// What every event keeps.
fn with(mut kept: Value) -> Value {
    let least = json!({ "event_id": "$a", "origin_server_ts": 1, "sender": "@a:b", "type": "m.x" });
    kept.as_object_mut().expect("an object").extend(least.as_object().expect("an object").clone());
    kept
}

#[test]
fn paths_name_what_is_kept() {
    let event = with(json!({
        "content": {
            "body": "hello",
            "m.relates_to": { "rel_type": "m.thread", "event_id": "$b" },
            "m": { "relates_to": 1 },
            "back\\slash": 2,
            "with\\": 3,
            "list": [{ "a": 1 }],
            "": { "": 4 },
        },
        "unsigned": { "age": 5, "transaction_id": "t" },
    }));
    for (fields, kept) in [
        (&[][..], json!({ "content": {} })),
        (&["content"], json!({ "content": event["content"] })),
        (&["content", "content.body"], json!({ "content": event["content"] })),
        (&["content.body"], json!({ "content": { "body": "hello" } })),
        (&["content.body.x"], json!({ "content": {} })),
        (&["content.nothing"], json!({ "content": {} })),
        (&["body"], json!({ "content": {} })),
        (&["content.m.relates_to"], json!({ "content": { "m": { "relates_to": 1 } } })),
        (
            &["content.m\\.relates_to.rel_type", "content.m\\.relates_to.key"],
            json!({ "content": { "m.relates_to": { "rel_type": "m.thread" } } }),
        ),
        (&["content.back\\\\slash"], json!({ "content": { "back\\slash": 2 } })),
        (&["content.back\\slash"], json!({ "content": { "back\\slash": 2 } })),
        (&["content.with\\"], json!({ "content": { "with\\": 3 } })),
        (&["content.list"], json!({ "content": { "list": [{ "a": 1 }] } })),
        (&["content.list.0", "content.list.a"], json!({ "content": {} })),
        (&["content.."], json!({ "content": { "": { "": 4 } } })),
        (&["unsigned.age", "type"], json!({ "content": {}, "unsigned": { "age": 5 } })),
        (&["unsigned.nothing"], json!({ "content": {} })),
    ] {
        assert_eq!(of(fields, &event), with(kept), "{fields:?}");
    }
}

#[test]
fn lists_and_paths_are_limited() {
    let many = vec!["a"; FIELDS_MAX + 1];
    EventFields::new(&many[1..]).expect("just enough");
    EventFields::new(&many).expect_err("one too many");
    let deep = vec!["a"; KEYS_MAX + 1];
    EventFields::new(&[deep[1..].join(".")]).expect("just enough");
    EventFields::new(&[deep.join(".")]).expect_err("one too many");
    assert_eq!(EventFields::new(&["a"]).expect("a field").of("nonsense"), "nonsense");
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        "[a-c.]{0,3}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            proptest::collection::btree_map("[a-c.\\\\]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The path of every leaf, as the specification writes it.
fn paths(value: &Value, prefix: &str, out: &mut Vec<String>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let key = key.replace('\\', "\\\\").replace('.', "\\.");
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        paths(value, &path, out);
        out.push(path);
    }
}

/// The value at a path, found the slow way: by writing the path of everything.
fn at<'a>(value: &'a Value, wanted: &str, prefix: &str) -> Option<&'a Value> {
    value.as_object()?.iter().find_map(|(key, value)| {
        let key = key.replace('\\', "\\\\").replace('.', "\\.");
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        if path == wanted { Some(value) } else { at(value, wanted, &path) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_named_is_there_as_it_was_and_nothing_else(content in json_value(), pick in any::<u64>()) {
        let mut event = Map::new();
        event.insert("content".to_owned(), json!({ "c": content }));
        let event = Value::Object(event);
        let mut all = Vec::new();
        paths(&event, "", &mut all);
        let wanted: Vec<&String> =
            all.iter().enumerate().filter(|(i, _)| pick >> (i % 64) & 1 == 1).map(|(_, path)| path).collect();
        let fields = EventFields::new(&wanted).expect("within the limits");
        let kept: Value = serde_json::from_str(&fields.of(&event.to_string())).expect("JSON");
        for path in &all {
            let within = |prefix: &&&String| path == **prefix || path.starts_with(&format!("{prefix}."));
            match (wanted.iter().find(within), at(&kept, path, "")) {
                (Some(_), found) => prop_assert_eq!(found, at(&event, path, ""), "{}", path),
                // What leads to something wanted is there, as an object.
                (None, found) => {
                    let leads = wanted.iter().any(|wanted| wanted.starts_with(&format!("{path}.")));
                    prop_assert!(found.is_none() || leads || path == "content", "{path} of {wanted:?}: {kept}");
                }
            }
        }
    }
}

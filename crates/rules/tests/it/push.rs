//! Push rules: the defaults, every condition, and patterns.

use proptest::prelude::*;
use rules::{
    event::Event,
    power_levels::PowerLevels,
    push::{EventForPush, Outcome, RoomForPush, default_rules, evaluate, shared_rules},
};
use ruma::{RoomVersionId, UserId, push::Ruleset};
use serde_json::{Value, json};

use crate::scene::{ALICE, BOB, CREATOR, Scene};

const NOTHING: Outcome = Outcome { notify: false, highlight: false };
const NOTIFY: Outcome = Outcome { notify: true, highlight: false };
const HIGHLIGHT: Outcome = Outcome { notify: true, highlight: true };

fn scene() -> Scene {
    Scene::new(&RoomVersionId::V11)
        .power_levels(json!({"users": {ALICE: 50, CREATOR: 100}}))
        .member(ALICE, "join")
        .member(BOB, "join")
}

/// What `rules` of Bob, who is called «Bob B.», make of an event in a room of so many.
fn judged(rules: &Ruleset, event: &Event, member_count: u64) -> Outcome {
    let scene = scene();
    let read = |kind: &str| scene.read(kind, "").expect("it is there");
    let power_levels =
        PowerLevels::of(&read("m.room.create"), Some(&read("m.room.power_levels")), scene.rules)
            .expect("fine");
    let room = RoomForPush { power_levels: &power_levels, member_count, display_name: Some("Bob B.") };
    let bob: &UserId = BOB.try_into().expect("a user id");
    evaluate(rules, bob, &EventForPush::new(event), &room)
}

fn by_default(sender: &str, kind: &str, key: Option<&str>, content: Value, member_count: u64) -> Outcome {
    let event = scene().event(sender, kind, key, content);
    let outcome = judged(&default_rules(BOB.try_into().expect("a user id")), &event, member_count);
    assert_eq!(judged(&shared_rules(), &event, member_count), outcome, "the rules that all share");
    outcome
}

#[test]
fn only_rules_of_the_server_are_about_whoever_they_are_evaluated_for() {
    let rule = json!({"rule_id": "x", "default": false, "enabled": true, "actions": ["notify"], "pattern": "anybody"});
    let rules: Ruleset = serde_json::from_value(json!({"content": [rule]})).expect("rules");
    for (body, expected) in [("anybody there?", NOTIFY), ("bob there?", NOTHING)] {
        let event = scene().event(ALICE, "m.room.message", None, json!({"msgtype": "m.text", "body": body}));
        assert_eq!(judged(&rules, &event, 3), expected, "{body}");
    }
}

#[test]
fn the_default_rules() {
    let text = json!({"msgtype": "m.text", "body": "hello"});
    let mention = json!({"msgtype": "m.text", "body": "hello", "m.mentions": {"user_ids": [ALICE, BOB]}});
    let room = json!({"msgtype": "m.text", "body": "@room", "m.mentions": {"room": true}});
    let edit =
        json!({"body": "* x", "m.mentions": {"user_ids": []}, "m.relates_to": {"rel_type": "m.replace"}});
    for (sender, kind, key, content, count, expected) in [
        (ALICE, "m.room.message", None, text.clone(), 3, NOTIFY),
        (ALICE, "m.room.message", None, text.clone(), 2, NOTIFY),
        (BOB, "m.room.message", None, text, 3, NOTHING),
        (ALICE, "m.room.encrypted", None, json!({}), 3, NOTIFY),
        (ALICE, "m.room.encrypted", None, json!({}), 2, NOTIFY),
        (ALICE, "m.room.message", None, json!({"msgtype": "m.notice", "body": "x"}), 2, NOTHING),
        (ALICE, "m.room.message", None, mention.clone(), 3, HIGHLIGHT),
        (BOB, "m.room.message", None, mention, 3, NOTHING),
        (ALICE, "m.room.message", None, room.clone(), 3, HIGHLIGHT),
        ("@carol:b", "m.room.message", None, room, 3, NOTIFY),
        (ALICE, "m.room.member", Some(BOB), json!({"membership": "invite"}), 3, NOTIFY),
        (ALICE, "m.room.member", Some("@carol:b"), json!({"membership": "invite"}), 3, NOTHING),
        (ALICE, "m.room.member", Some(ALICE), json!({"membership": "join"}), 3, NOTHING),
        (ALICE, "m.room.tombstone", Some(""), json!({}), 3, HIGHLIGHT),
        (ALICE, "m.room.tombstone", Some("x"), json!({}), 3, NOTHING),
        (ALICE, "m.room.topic", Some(""), json!({}), 3, NOTHING),
        (ALICE, "m.reaction", None, json!({}), 2, NOTHING),
        (ALICE, "m.room.server_acl", Some(""), json!({}), 2, NOTHING),
        (ALICE, "m.call.invite", None, json!({}), 3, NOTIFY),
        (ALICE, "m.room.message", None, edit, 3, NOTHING),
    ] {
        let case = format!("{sender} {kind} {content} {count}");
        assert_eq!(by_default(sender, kind, key, content, count), expected, "{case}");
    }
}

/// Whether one condition holds for a message of Alice with this content.
fn holds(condition: &Value, content: &Value, member_count: u64) -> bool {
    let rule = json!({"rule_id": "x", "default": false, "enabled": true, "actions": ["notify"], "conditions": [condition]});
    let rules = serde_json::from_value(json!({"override": [rule]})).expect("rules");
    let event = scene().event(ALICE, "m.room.message", None, content.clone());
    judged(&rules, &event, member_count).notify
}

#[test]
fn event_match() {
    let matches = |key: &str, pattern: &str, content: &Value| {
        holds(&json!({"kind": "event_match", "key": key, "pattern": pattern}), content, 2)
    };
    let topic = |text: &str| json!({"topic": text});
    // The examples of the specification.
    for (text, expected) in [("Lunch plans", true), ("LUNCH", true), (" lunch", false), ("lunc", false)] {
        assert_eq!(matches("content.topic", "lunc?*", &topic(text)), expected, "{text}");
    }
    assert!(!matches("content.topic", "lunc?*", &json!({"topic": null})));
    for (text, expected) in [
        ("An example event.", true),
        ("exple", true),
        ("An exciting triple-whammy", true),
        ("examples", false),
        ("anexample", false),
        ("ÄexampleÖ", true),
    ] {
        assert_eq!(matches("content.body", "ex*ple", &json!({"body": text})), expected, "{text}");
    }
    for (pattern, text, expected) in [
        ("cake", "I like cake!", true),
        ("cake", "cakes", false),
        ("cake", "cakes and CAKE", true),
        ("cake", "_cake", false),
        ("c?ke", "a coke", true),
        ("*", "", true),
        ("foo bar", "x foo bar", true),
        ("日本", "日本語", true),
    ] {
        assert_eq!(matches("content.body", pattern, &json!({"body": text})), expected, "{pattern} {text}");
    }
    assert!(matches("room_id", "!room:a", &json!({})));
    assert!(matches("type", "m.*.message", &json!({})));
    assert!(matches(r"content.m\.relates_to.a\\b", "x", &json!({"m.relates_to": {r"a\b": "X"}})));
    assert!(matches(r"content.a\xb", "x", &json!({r"a\xb": "X"})));
    assert!(matches("content..", "x", &json!({"": {"": "X"}})));
    assert!(!matches("content", "*", &json!({})));
    assert!(!matches("content.a.b", "*", &json!({"a": "b"})));
    assert!(!matches("content.missing", "*", &json!({})));
    assert!(!matches("content.number", "*", &json!({"number": 1})));
}

#[test]
fn the_other_conditions() {
    let is = |value: Value| json!({"kind": "event_property_is", "key": "content.x", "value": value});
    for (value, found, expected) in [
        (json!(1), json!(1), true),
        (json!(1), json!("1"), false),
        (json!(null), json!(null), true),
        (json!(true), json!(true), true),
        (json!("A"), json!("a"), false),
        (json!(1), json!([1]), false),
    ] {
        assert_eq!(holds(&is(value.clone()), &json!({"x": found}), 2), expected, "{value} {found}");
    }
    let contains = json!({"kind": "event_property_contains", "key": "content.x", "value": "a"});
    for (found, expected) in
        [(json!(["b", "a"]), true), (json!(["b", ["a"]]), false), (json!("a"), false), (json!([]), false)]
    {
        assert_eq!(holds(&contains, &json!({"x": found}), 2), expected, "{found}");
    }
    for (is, expected) in
        [("2", true), ("==2", true), ("<3", true), (">2", false), (">=2", true), ("<=1", false)]
    {
        assert_eq!(holds(&json!({"kind": "room_member_count", "is": is}), &json!({}), 2), expected, "{is}");
    }
    let display_name = json!({"kind": "contains_display_name"});
    for (body, expected) in [("hey bob b., look", true), ("bob", false), ("bob b.x", false), ("Bob B.", true)]
    {
        assert_eq!(holds(&display_name, &json!({"body": body}), 2), expected, "{body}");
    }
    let permission = |key: &str| json!({"kind": "sender_notification_permission", "key": key});
    assert!(holds(&permission("room"), &json!({}), 2));
    assert!(!holds(&json!({"kind": "org.example.unknown"}), &json!({}), 2));
}

#[test]
fn kinds_of_rules_in_their_order() {
    let rule = |id: &str, actions: Value| json!({"rule_id": id, "default": false, "enabled": true, "actions": actions});
    let mut content = rule("word", json!(["notify", {"set_tweak": "highlight"}]));
    content["pattern"] = json!("cake");
    let all = json!({
        "content": [content],
        "room": [rule("!room:a", json!([]))],
        "sender": [rule(ALICE, json!(["notify"]))],
    });
    let judge = |rules: &Value, body: &str| {
        let rules = serde_json::from_value(rules.clone()).expect("rules");
        judged(&rules, &scene().event(ALICE, "m.room.message", None, json!({"body": body})), 3)
    };
    assert_eq!(judge(&all, "Cake!"), HIGHLIGHT);
    assert_eq!(judge(&all, "bread"), NOTHING, "the room's rule comes before the sender's");
    let mut quiet = all.clone();
    quiet["room"][0]["enabled"] = json!(false);
    assert_eq!(judge(&quiet, "bread"), NOTIFY);
    quiet["sender"][0]["enabled"] = json!(false);
    assert_eq!(judge(&quiet, "bread"), NOTHING);
}

#[test]
fn a_hostile_event_costs_little() {
    // A long path to many leaves: written out, the paths would take 150 MB.
    let leaves: serde_json::Map<String, Value> =
        (0..5_000).map(|leaf| (format!("{leaf:x}"), json!(1))).collect();
    let content = json!({"x".repeat(30_000): leaves, "body": "a".repeat(10_000)});
    let event = scene().event(ALICE, "m.room.message", None, content);
    let word = |pattern: String| json!({"kind": "event_match", "key": "content.body", "pattern": pattern});
    for pattern in ["a*".repeat(100) + "b", "a".repeat(255), "?".repeat(255), "a".repeat(100_000)] {
        let rule = json!({"rule_id": "x", "default": false, "enabled": true, "actions": ["notify"], "conditions": [word(pattern)]});
        let rules = serde_json::from_value(json!({"override": [rule]})).expect("rules");
        assert_eq!(judged(&rules, &event, 3), NOTHING);
    }
}

/// A glob by its definition, slow and plain.
fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|from| glob(rest, &text[from..])),
        Some(('?', rest)) => text.split_first().is_some_and(|(_, text)| glob(rest, text)),
        Some((char, rest)) => {
            text.split_first().is_some_and(|(first, text)| first == char && glob(rest, text))
        }
    }
}

fn word(char: Option<&char>) -> bool {
    char.is_some_and(|char| char.is_ascii_alphanumeric() || *char == '_')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patterns_match_by_their_definition(pattern in "[ab é*?]{1,6}", text in "[ab é]{0,8}") {
        let globs: Vec<char> = pattern.chars().collect();
        let chars: Vec<char> = text.chars().collect();
        let topic = json!({"kind": "event_match", "key": "content.topic", "pattern": pattern});
        prop_assert_eq!(holds(&topic, &json!({"topic": text}), 2), glob(&globs, &chars));
        let body = json!({"kind": "event_match", "key": "content.body", "pattern": pattern});
        let boundary = |at: usize| at == 0 || !word(chars.get(at - 1)) || !word(chars.get(at));
        let expected = (0..=chars.len()).any(|from| {
            (from..=chars.len()).any(|to| {
                let before = from == 0 || !word(chars.get(from - 1));
                let after = !word(chars.get(to));
                boundary(from) && before && after && glob(&globs, &chars[from..to])
            })
        });
        prop_assert_eq!(holds(&body, &json!({"body": text}), 2), expected);
    }
}

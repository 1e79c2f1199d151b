//! Whom an event notifies: push rules evaluated for one user.
//!
//! Spec: client-server API, «Push notifications». ruma has the types and the default rules; its evaluation is
//! async (for an unstable condition) and compiles a regular expression per rule and user. Here an event is
//! flattened once and then asked for every member of the room.

use std::{collections::BTreeMap, sync::OnceLock};

use ruma::{
    UserId,
    push::{Action, AnyPushRuleRef, PushCondition, RoomMemberCountIs, Ruleset, ScalarJsonValue},
};
use serde_json::Value;

use crate::{
    event::Event,
    glob::{self, Glob},
    power_levels::{Power, PowerLevels},
};

/// The longest pattern that is tried, in bytes; a longer one matches nothing.
pub const PATTERN_BYTES_MAX: usize = 1024;

/// The rules that every account begins with, for `user`.
pub fn default_rules(user: &UserId) -> Ruleset {
    Ruleset::server_default(user)
}

/// What push rules decided for one user and one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the event counts as unread and is pushed.
    pub notify: bool,
    /// Whether it is highlighted as well.
    pub highlight: bool,
}

/// An event as push rules look at it: its properties by dot-separated path. Made once, asked for every member.
#[derive(Debug)]
pub struct EventForPush<'a> {
    event: &'a Event,
    properties: BTreeMap<String, Property>,
    body_lowercase: OnceLock<Option<String>>,
}

#[derive(Debug)]
enum Property {
    Scalar(ScalarJsonValue),
    Array(Vec<ScalarJsonValue>),
}

/// What push rules ask about the room and the member.
#[derive(Debug, Clone, Copy)]
pub struct RoomForPush<'a> {
    /// The power levels of the room.
    pub power_levels: &'a PowerLevels,
    /// How many members are joined.
    pub member_count: u64,
    /// The member's display name in the room.
    pub display_name: Option<&'a str>,
}

/// Evaluates `rules` of `user` for an event. The user's own events notify nobody.
pub fn evaluate(rules: &Ruleset, user: &UserId, event: &EventForPush<'_>, room: &RoomForPush<'_>) -> Outcome {
    actions(rules, user, event, room).map(outcome).unwrap_or_default()
}

/// The actions of the first rule that matches, for a push gateway; `None` if none does.
pub fn actions<'r>(
    rules: &'r Ruleset,
    user: &UserId,
    event: &EventForPush<'_>,
    room: &RoomForPush<'_>,
) -> Option<&'r [Action]> {
    if event.event.sender() == user {
        return None;
    }
    rules.iter().find(|rule| rule.enabled() && applies(*rule, event, room)).map(AnyPushRuleRef::actions)
}

/// What a list of actions means.
pub fn outcome(actions: &[Action]) -> Outcome {
    let notify = actions.iter().any(Action::should_notify);
    let highlight = notify && actions.iter().any(Action::is_highlight);
    Outcome { notify, highlight }
}

impl<'a> EventForPush<'a> {
    /// Flattens an event.
    pub fn new(event: &'a Event) -> Self {
        let mut properties = BTreeMap::new();
        let top = [
            ("event_id", event.event_id().as_str()),
            ("room_id", event.room_id().as_str()),
            ("sender", event.sender().as_str()),
            ("type", event.event_type()),
        ];
        for (key, value) in top.into_iter().chain(event.state_key().map(|key| ("state_key", key))) {
            properties.insert(key.to_owned(), Property::Scalar(ScalarJsonValue::String(value.to_owned())));
        }
        let content = serde_json::from_str(event.content_str()).unwrap_or(Value::Null);
        flatten(&mut properties, "content".to_owned(), content);
        Self { event, properties, body_lowercase: OnceLock::new() }
    }

    fn text(&self, path: &str) -> Option<&str> {
        match self.properties.get(path)? {
            Property::Scalar(ScalarJsonValue::String(text)) => Some(text),
            _ => None,
        }
    }

    fn body(&self) -> Option<&str> {
        let body = || self.text("content.body").map(str::to_lowercase);
        self.body_lowercase.get_or_init(body).as_deref()
    }
}

fn applies(rule: AnyPushRuleRef<'_>, event: &EventForPush<'_>, room: &RoomForPush<'_>) -> bool {
    let all = |conditions: &[PushCondition]| conditions.iter().all(|condition| holds(condition, event, room));
    match rule {
        AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => all(&rule.conditions),
        AnyPushRuleRef::Content(rule) => event_match(event, "content.body", &rule.pattern),
        AnyPushRuleRef::Room(rule) => rule.rule_id == *event.event.room_id(),
        AnyPushRuleRef::Sender(rule) => rule.rule_id == *event.event.sender(),
        // Kinds of rules that the specification does not know.
        _ => false,
    }
}

fn holds(condition: &PushCondition, event: &EventForPush<'_>, room: &RoomForPush<'_>) -> bool {
    match condition {
        PushCondition::EventMatch(data) => event_match(event, &data.key, &data.pattern),
        #[expect(deprecated, reason = "clients may still have rules with it")]
        PushCondition::ContainsDisplayName => room.display_name.is_some_and(|name| {
            event.body().is_some_and(|body| glob::contains_word(body, &name.to_lowercase()))
        }),
        PushCondition::RoomMemberCount(data) => counts(&data.is, room.member_count),
        PushCondition::SenderNotificationPermission(data) => {
            let needed = Power::Level(room.power_levels.notification(data.key.as_str()));
            room.power_levels.user(event.event.sender()) >= needed
        }
        PushCondition::EventPropertyIs(data) => match event.properties.get(&data.key) {
            Some(Property::Scalar(value)) => *value == data.value,
            _ => false,
        },
        PushCondition::EventPropertyContains(data) => match event.properties.get(&data.key) {
            Some(Property::Array(values)) => values.contains(&data.value),
            _ => false,
        },
        // An unknown condition never holds, as the specification wants.
        _ => false,
    }
}

fn counts(is: &RoomMemberCountIs, member_count: u64) -> bool {
    ruma::UInt::try_from(member_count).is_ok_and(|count| std::ops::RangeBounds::contains(is, &count))
}

fn event_match(event: &EventForPush<'_>, key: &str, pattern: &str) -> bool {
    if pattern.len() > PATTERN_BYTES_MAX {
        return false;
    }
    let pattern = pattern.to_lowercase();
    let plain = !pattern.contains(['*', '?']);
    if key == "content.body" {
        let Some(body) = event.body() else { return false };
        return if plain {
            glob::contains_word(body, &pattern)
        } else {
            Glob::new(&pattern).matches_words(body)
        };
    }
    let Some(text) = event.text(key) else { return false };
    let text = text.to_lowercase();
    if plain { text == pattern } else { Glob::new(&pattern).matches(&text) }
}

fn flatten(properties: &mut BTreeMap<String, Property>, path: String, value: Value) {
    let property = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('\\', r"\\").replace('.', r"\.");
                flatten(properties, format!("{path}.{key}"), value);
            }
            return;
        }
        Value::Array(items) => Property::Array(items.into_iter().filter_map(scalar).collect()),
        value => match scalar(value) {
            Some(value) => Property::Scalar(value),
            None => return,
        },
    };
    properties.insert(path, property);
}

fn scalar(value: Value) -> Option<ScalarJsonValue> {
    Some(match value {
        Value::Null => ScalarJsonValue::Null,
        Value::Bool(value) => ScalarJsonValue::Bool(value),
        Value::Number(number) => ScalarJsonValue::Integer(number.as_i64()?.try_into().ok()?),
        Value::String(text) => ScalarJsonValue::String(text),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

//! Whom an event notifies: push rules evaluated for one user.
//!
//! Spec: client-server API, «Push notifications». ruma has the types and the default rules; its evaluation is
//! async (for an unstable condition), compiles a regular expression per rule and user, and flattens an event into
//! a map of paths, which a hostile event blows up to a thousand times its size. Here an event is read once and
//! then asked for every member of the room; a path is walked.

use std::sync::OnceLock;

use ruma::{
    UserId,
    push::{Action, AnyPushRuleRef, PushCondition, RoomMemberCountIs, Ruleset, ScalarJsonValue},
    user_id,
};
use serde_json::Value;

use crate::{
    event::Event,
    event_fields,
    glob::{self, Glob},
    power_levels::{Power, PowerLevels},
};

/// The longest pattern or display name that is looked for, in characters; a longer one is never found.
pub const PATTERN_CHARS_MAX: usize = glob::GLOB_CHARS_MAX;

/// The rules that every account begins with, for `user`.
pub fn default_rules(user: &UserId) -> Ruleset {
    Ruleset::server_default(user)
}

/// The rules that every account begins with, for whoever they are evaluated for.
pub fn shared_rules() -> Ruleset {
    Ruleset::server_default(anybody())
}

/// Stands in [`shared_rules`] where those of a user name the user. Only rules that the server brings along
/// are looked at for it.
fn anybody() -> &'static UserId {
    user_id!("@anybody:anywhere.invalid")
}

/// What push rules decided for one user and one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether the event counts as unread and is pushed.
    pub notify: bool,
    /// Whether it is highlighted as well.
    pub highlight: bool,
}

/// An event as push rules look at it. Made once, asked for every member.
#[derive(Debug)]
pub struct EventForPush<'a> {
    event: &'a Event,
    content: Value,
    body_lowercase: OnceLock<Option<String>>,
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
    let asked = Asked { user, event, room };
    rules.iter().find(|rule| rule.enabled() && asked.applies(*rule)).map(AnyPushRuleRef::actions)
}

/// What a list of actions means.
pub fn outcome(actions: &[Action]) -> Outcome {
    let notify = actions.iter().any(Action::should_notify);
    let highlight = notify && actions.iter().any(Action::is_highlight);
    Outcome { notify, highlight }
}

impl<'a> EventForPush<'a> {
    /// Reads an event.
    pub fn new(event: &'a Event) -> Self {
        let content = serde_json::from_str(event.content_str()).unwrap_or(Value::Null);
        Self { event, content, body_lowercase: OnceLock::new() }
    }

    /// The property of the content at a dot-separated path that begins with `content`.
    fn property(&self, path: &str) -> Option<&Value> {
        let mut keys = event_fields::keys(path);
        if keys.next()? != "content" {
            return None;
        }
        keys.try_fold(&self.content, |value, key| value.as_object()?.get(&key))
    }

    /// The text at a path, anywhere in the event.
    fn text(&self, path: &str) -> Option<&str> {
        match path {
            "type" => Some(self.event.event_type()),
            "sender" => Some(self.event.sender().as_str()),
            "state_key" => self.event.state_key(),
            "room_id" => Some(self.event.room_id().as_str()),
            "event_id" => Some(self.event.event_id().as_str()),
            path => self.property(path)?.as_str(),
        }
    }

    fn body(&self) -> Option<&str> {
        let body = || self.content.get("body")?.as_str().map(str::to_lowercase);
        self.body_lowercase.get_or_init(body).as_deref()
    }

    /// Whether the value at a path is this one, exactly.
    fn is(&self, path: &str, wanted: &ScalarJsonValue) -> bool {
        match (self.text(path), wanted) {
            (Some(text), ScalarJsonValue::String(wanted)) => text == wanted,
            (Some(_), _) => false,
            (None, wanted) => self.property(path).is_some_and(|found| equal(found, wanted)),
        }
    }
}

fn equal(found: &Value, wanted: &ScalarJsonValue) -> bool {
    match (found, wanted) {
        (Value::Null, ScalarJsonValue::Null) => true,
        (Value::Bool(found), ScalarJsonValue::Bool(wanted)) => found == wanted,
        (Value::String(found), ScalarJsonValue::String(wanted)) => found == wanted,
        (Value::Number(found), ScalarJsonValue::Integer(wanted)) => {
            found.as_i64() == Some(i64::from(*wanted))
        }
        _ => false,
    }
}

/// What rules are asked: does this event notify this user?
struct Asked<'a> {
    user: &'a UserId,
    event: &'a EventForPush<'a>,
    room: &'a RoomForPush<'a>,
}

impl Asked<'_> {
    fn applies(&self, rule: AnyPushRuleRef<'_>) -> bool {
        let of_server = rule.is_server_default();
        let all = |conditions: &[PushCondition]| conditions.iter().all(|one| self.holds(one, of_server));
        match rule {
            AnyPushRuleRef::Override(rule) | AnyPushRuleRef::Underride(rule) => all(&rule.conditions),
            AnyPushRuleRef::Content(rule) => event_match(self.event, "content.body", &rule.pattern),
            AnyPushRuleRef::Room(rule) => rule.rule_id == *self.event.event.room_id(),
            AnyPushRuleRef::Sender(rule) => rule.rule_id == *self.event.event.sender(),
            // Kinds of rules that the specification does not know.
            _ => false,
        }
    }

    /// Whether a condition holds, of a rule that the server brings along or of one of the user.
    fn holds(&self, condition: &PushCondition, of_server: bool) -> bool {
        let Asked { user, event, room } = *self;
        let is_anybody = |text: &str| of_server && text == anybody();
        match condition {
            PushCondition::EventMatch(data) if is_anybody(&data.pattern) => {
                event_match(event, &data.key, user.as_str())
            }
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
            PushCondition::EventPropertyIs(data) => event.is(&data.key, &data.value),
            PushCondition::EventPropertyContains(data) => {
                let values = event.property(&data.key).and_then(Value::as_array);
                let wanted = |value: &Value| match &data.value {
                    ScalarJsonValue::String(text) if is_anybody(text) => value == user.as_str(),
                    wanted => equal(value, wanted),
                };
                values.is_some_and(|values| values.iter().any(wanted))
            }
            // An unknown condition never holds, as the specification wants.
            _ => false,
        }
    }
}

fn counts(is: &RoomMemberCountIs, member_count: u64) -> bool {
    ruma::UInt::try_from(member_count).is_ok_and(|count| std::ops::RangeBounds::contains(is, &count))
}

fn event_match(event: &EventForPush<'_>, key: &str, pattern: &str) -> bool {
    let pattern = pattern.to_lowercase();
    let plain = !pattern.contains(['*', '?']);
    if key == "content.body" {
        let Some(body) = event.body() else { return false };
        return match plain {
            true => glob::contains_word(body, &pattern),
            false => Glob::new(&pattern).is_some_and(|glob| glob.matches_words(body)),
        };
    }
    let Some(text) = event.text(key) else { return false };
    let text = text.to_lowercase();
    if plain { text == pattern } else { Glob::new(&pattern).is_some_and(|glob| glob.matches(&text)) }
}

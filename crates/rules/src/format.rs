//! What clients and servers get of an event: bytes spliced from the stored ones, never parsed and written anew.
//!
//! Spec: client-server API, «Room event format» and «Stripped state».

use std::fmt::Write;

use ruma::{EventId, UserId, events::room::member::MembershipState};
use serde_json::value::RawValue;

use crate::event::Event;

/// The forms in which events go out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// As clients get events since v2_alpha: with `sender`, and what a server adds in `unsigned`.
    #[default]
    Client,
    /// As clients of the API v1 of 2015 got them: with `user_id`, and what a server adds beside it.
    V1,
    /// As servers exchange them.
    Pdu,
}

impl Format {
    /// The event in this form. For servers it is whole, for clients `with_room_id` or without.
    pub fn write(self, out: &mut String, event: &Event, unsigned: &Unsigned<'_>, with_room_id: bool) {
        match self {
            Format::Client => {
                write_client_event(out, event, unsigned.to_json().as_deref(), with_room_id);
            }
            Format::V1 => write_v1_event(out, event, unsigned, with_room_id),
            Format::Pdu => out.push_str(federation_event(event, unsigned.to_json().as_deref()).get()),
        }
    }
}

/// The event as a client gets it (`ClientEvent`), with `room_id` or, as in `/sync`, without.
///
/// `unsigned` is a JSON object, as [`Unsigned::to_json`] writes it. `redacts` of a redaction stands both at the
/// top and in the content, whatever the room version (rooms/v11, «Moving the `redacts` property»).
pub fn client_event(event: &Event, unsigned: Option<&str>, with_room_id: bool) -> Box<RawValue> {
    let mut out = String::with_capacity(event.json().len() + unsigned.map_or(0, str::len));
    write_client_event(&mut out, event, unsigned, with_room_id);
    raw(out)
}

/// [`client_event`], appended to a document that is being written.
pub fn write_client_event(out: &mut String, event: &Event, unsigned: Option<&str>, with_room_id: bool) {
    out.push_str(r#"{"content":"#);
    write_client_content(out, event);
    push_string(out, r#","event_id":"#, event.event_id().as_str());
    push_number(out, r#","origin_server_ts":"#, event.origin_server_ts().0.into());
    if let Some(redacts) = event.redacts() {
        push_string(out, r#","redacts":"#, redacts.as_str());
    }
    if with_room_id {
        push_string(out, r#","room_id":"#, event.room_id().as_str());
    }
    push_string(out, r#","sender":"#, event.sender().as_str());
    if let Some(state_key) = event.state_key() {
        push_string(out, r#","state_key":"#, state_key);
    }
    push_string(out, r#","type":"#, event.event_type());
    if let Some(unsigned) = unsigned {
        out.push_str(r#","unsigned":"#);
        out.push_str(unsigned);
    }
    out.push('}');
}

/// The event as clients of the API v1 of 2015 get it, appended to a document that is being written.
///
/// Spec: «Differences between /v1 and /v2 events» of 2015. `sender` is called `user_id`; of what a server
/// adds, what was known in 2015 stands at the top, and there is no `unsigned`.
pub fn write_v1_event(out: &mut String, event: &Event, unsigned: &Unsigned<'_>, with_room_id: bool) {
    out.push_str(r#"{"content":"#);
    out.push_str(event.content_str());
    if let Some(age_ms) = unsigned.age_ms {
        push_number(out, r#","age":"#, age_ms);
    }
    push_string(out, r#","event_id":"#, event.event_id().as_str());
    push_json(out, r#","invite_room_state":"#, unsigned.invite_room_state_json);
    push_number(out, r#","origin_server_ts":"#, event.origin_server_ts().0.into());
    push_json(out, r#","prev_content":"#, unsigned.prev_content_json);
    push_json(out, r#","redacted_because":"#, unsigned.redacted_because_json);
    if let Some(redacts) = event.redacts() {
        push_string(out, r#","redacts":"#, redacts.as_str());
    }
    if let Some(replaces_state) = unsigned.replaces_state {
        push_string(out, r#","replaces_state":"#, replaces_state.as_str());
    }
    if with_room_id {
        push_string(out, r#","room_id":"#, event.room_id().as_str());
    }
    if let Some(state_key) = event.state_key() {
        push_string(out, r#","state_key":"#, state_key);
    }
    if let Some(transaction_id) = unsigned.transaction_id {
        push_string(out, r#","transaction_id":"#, transaction_id);
    }
    push_string(out, r#","type":"#, event.event_type());
    push_string(out, r#","user_id":"#, event.sender().as_str());
    out.push('}');
}

/// The event as servers exchange it (`event_format: federation`), with `unsigned` if there is any.
pub fn federation_event(event: &Event, unsigned: Option<&str>) -> Box<RawValue> {
    let json = event.json_str();
    let Some(unsigned) = unsigned else { return raw(json.to_owned()) };
    let body = json.strip_suffix('}').unwrap_or(json);
    raw(format!(r#"{body},"unsigned":{unsigned}}}"#))
}

/// A state event for who is not in the room: `content`, `sender`, `state_key`, `type` and nothing else.
pub fn stripped_state(event: &Event) -> Box<RawValue> {
    let mut out = String::with_capacity(event.json().len());
    out.push_str(r#"{"content":"#);
    out.push_str(event.content_str());
    push_string(&mut out, r#","sender":"#, event.sender().as_str());
    push_string(&mut out, r#","state_key":"#, event.state_key().unwrap_or_default());
    push_string(&mut out, r#","type":"#, event.event_type());
    out.push('}');
    raw(out)
}

/// Stripped state as it was in 2015, as a JSON list: events of `content`, `state_key` and `type`.
pub fn stripped_state_v1<'a>(events: impl IntoIterator<Item = &'a Event>) -> String {
    let mut out = String::from("[");
    for event in events {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(r#"{"content":"#);
        out.push_str(event.content_str());
        push_string(&mut out, r#","state_key":"#, event.state_key().unwrap_or_default());
        push_string(&mut out, r#","type":"#, event.event_type());
        out.push('}');
    }
    out.push(']');
    out
}

/// What a server adds to an event on the way out; nothing of it is signed.
///
/// The fields that are JSON (`…_json`) are copied as they are.
#[derive(Debug, Clone, Default)]
pub struct Unsigned<'a> {
    /// Milliseconds since the event was made.
    pub age_ms: Option<i64>,
    /// The reader's membership when the event was sent (since v1.11).
    pub membership: Option<&'a MembershipState>,
    /// The content of the state event that this one replaced.
    pub prev_content_json: Option<&'a str>,
    /// The sender of the state event that this one replaced.
    pub prev_sender: Option<&'a UserId>,
    /// The state event that this one replaced.
    pub replaces_state: Option<&'a EventId>,
    /// The redaction event, as a client gets it.
    pub redacted_because_json: Option<&'a str>,
    /// The transaction id, only for the device that sent the event.
    pub transaction_id: Option<&'a str>,
    /// The id under which the event was delayed (MSC4140), only for its sender.
    pub delay_id: Option<&'a str>,
    /// The bundled aggregations: an object by relation type.
    pub relations_json: Option<&'a str>,
    /// A list of stripped state, with an invite.
    pub invite_room_state_json: Option<&'a str>,
    /// A list of stripped state, with a knock.
    pub knock_room_state_json: Option<&'a str>,
}

impl Unsigned<'_> {
    /// The object, or `None` if nothing is in it.
    pub fn to_json(&self) -> Option<String> {
        let mut out = String::new();
        if let Some(age_ms) = self.age_ms {
            push_number(&mut out, r#","age":"#, age_ms);
        }
        push_json(&mut out, r#","invite_room_state":"#, self.invite_room_state_json);
        push_json(&mut out, r#","knock_room_state":"#, self.knock_room_state_json);
        push_json(&mut out, r#","m.relations":"#, self.relations_json);
        if let Some(membership) = self.membership {
            push_string(&mut out, r#","membership":"#, membership.as_str());
        }
        push_json(&mut out, r#","prev_content":"#, self.prev_content_json);
        if let Some(prev_sender) = self.prev_sender {
            push_string(&mut out, r#","prev_sender":"#, prev_sender.as_str());
        }
        push_json(&mut out, r#","redacted_because":"#, self.redacted_because_json);
        if let Some(replaces_state) = self.replaces_state {
            push_string(&mut out, r#","replaces_state":"#, replaces_state.as_str());
        }
        if let Some(transaction_id) = self.transaction_id {
            push_string(&mut out, r#","transaction_id":"#, transaction_id);
        }
        if let Some(delay_id) = self.delay_id {
            push_string(&mut out, r#","org.matrix.msc4140.delay_id":"#, delay_id);
        }
        if out.is_empty() {
            return None;
        }
        // The first member's comma becomes the opening brace.
        out.replace_range(..1, "{");
        out.push('}');
        Some(out)
    }
}

/// The content, with the `redacts` that clients of newer room versions look for in redactions of older ones.
fn write_client_content(out: &mut String, event: &Event) {
    let content = event.content_str();
    match event.redacts() {
        Some(redacts) if !event.redacts_in_content() => {
            push_string(out, r#"{"redacts":"#, redacts.as_str());
            let rest = content.strip_prefix('{').unwrap_or("}");
            if rest != "}" {
                out.push(',');
            }
            out.push_str(rest);
        }
        _ => out.push_str(content),
    }
}

fn push_json(out: &mut String, key: &str, json: Option<&str>) {
    if let Some(json) = json {
        out.push_str(key);
        out.push_str(json);
    }
}

fn push_number(out: &mut String, key: &str, number: i64) {
    out.push_str(key);
    // Writing into memory has no way to fail.
    let _ = write!(out, "{number}");
}

/// Appends `key`, as it is, and `text` as a JSON string.
pub fn push_string(out: &mut String, key: &str, text: &str) {
    out.push_str(key);
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

fn raw(json: String) -> Box<RawValue> {
    let value = RawValue::from_string(json);
    debug_assert!(value.is_ok(), "spliced JSON is JSON: {value:?}");
    value.unwrap_or_else(|_| RawValue::NULL.to_owned())
}

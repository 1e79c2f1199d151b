//! Which fields of events a client wants: `event_fields` of a filter.
//!
//! Spec: client-server API, «Filtering», and appendices, «Dot-separated property paths».

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Refused;

/// How many fields a filter may name.
pub const FIELDS_MAX: usize = 200;
/// How many keys a path may have: events are not nested more deeply than this by much.
pub const KEYS_MAX: usize = 64;

/// What is told of every event, whatever a client wants: without it nobody can tell what the rest is
/// about, and the specification's own schema of an event requires it.
const ALWAYS: [&str; 6] = ["event_id", "origin_server_ts", "room_id", "sender", "state_key", "type"];

/// The fields that a client wants, compiled.
#[derive(Debug, Clone)]
pub struct EventFields(Node);

/// A place in an event.
#[derive(Debug, Clone, Default)]
struct Node {
    /// Whether everything from here on is wanted.
    whole: bool,
    below: BTreeMap<String, Node>,
}

impl EventFields {
    /// Compiles a list of paths.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if there are more than [`FIELDS_MAX`], or one has more than [`KEYS_MAX`] keys.
    pub fn new<T: AsRef<str>>(paths: &[T]) -> Result<Self, Refused> {
        if paths.len() > FIELDS_MAX {
            return Err(Refused::BadJson(format!("a filter names more than {FIELDS_MAX} fields")));
        }
        let mut root = Node::default();
        for path in paths {
            let mut node = &mut root;
            for (depth, key) in keys(path.as_ref()).enumerate() {
                if depth >= KEYS_MAX {
                    return Err(Refused::BadJson(format!("a field has more than {KEYS_MAX} keys")));
                }
                node = node.below.entry(key).or_default();
            }
            node.whole = true;
        }
        for key in ALWAYS {
            root.below.entry(key.to_owned()).or_default().whole = true;
        }
        // An event has a content, if only an empty one.
        root.below.entry("content".to_owned()).or_default();
        Ok(Self(root))
    }

    /// What the client wants of an event, given and answered as JSON. What is no JSON object stays as
    /// it is.
    pub fn of(&self, event: &str) -> String {
        let Ok(Value::Object(mut event)) = serde_json::from_str(event) else { return event.to_owned() };
        self.0.prune(&mut event);
        event.entry("content").or_insert_with(|| Map::new().into());
        Value::Object(event).to_string()
    }
}

impl Node {
    fn prune(&self, object: &mut Map<String, Value>) {
        if self.whole {
            return;
        }
        object.retain(|key, value| match (self.below.get(key), value) {
            (None, _) => false,
            (Some(node), _) if node.whole => true,
            (Some(node), Value::Object(inner)) => {
                node.prune(inner);
                !inner.is_empty()
            }
            // A path does not go on within a list or a text.
            (Some(_), _) => false,
        });
    }
}

/// The keys of a dot-separated path; `\.` and `\\` stand for the characters themselves.
pub(crate) fn keys(path: &str) -> impl Iterator<Item = String> {
    let mut chars = path.chars().peekable();
    let mut open = true;
    std::iter::from_fn(move || {
        if !std::mem::replace(&mut open, false) {
            return None;
        }
        let mut key = String::new();
        while let Some(char) = chars.next() {
            match char {
                '.' => {
                    open = true;
                    break;
                }
                '\\' => key.push(chars.next_if(|next| matches!(next, '.' | '\\')).unwrap_or('\\')),
                char => key.push(char),
            }
        }
        Some(key)
    })
}

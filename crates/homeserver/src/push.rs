//! Push rules: which events notify a user.

use std::sync::Arc;

use ruma::{UserId, push::Ruleset};
use serde_json::{Value, json};

use crate::{Home, refusal::Answer};

/// The type under which clients find their push rules in the account data.
pub const ACCOUNT_DATA_TYPE: &str = "m.push_rules";

/// The kinds of push rules.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// The push rules of `user`: those that every account begins with, for nobody can change them yet.
///
/// # Errors
/// If the database does not answer.
pub async fn rules(_: &Home, user: &UserId) -> Answer<Arc<Ruleset>> {
    Ok(Arc::new(rules::push::default_rules(user)))
}

/// Push rules as clients get them. All kinds, those without a rule too: not every client takes their
/// absence well.
pub fn global(rules: &Ruleset) -> Value {
    let mut global = serde_json::to_value(rules).unwrap_or_else(|_| json!({}));
    for kind in KINDS {
        if global.get(kind).is_none() {
            global[kind] = json!([]);
        }
    }
    global
}

//! Push rules: which events notify a user.

use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId, push::Ruleset};
use serde_json::{Value, json};

use crate::{Home, refusal::Answer};

/// The type under which clients find their push rules in the account data.
pub const ACCOUNT_DATA_TYPE: &str = "m.push_rules";

/// Users whose rules are kept in memory: every event is judged by those of each member.
const RULES_MAX: usize = 4_096;

/// Push rules in memory.
pub struct Memory {
    rules: Cache<OwnedUserId, Arc<Ruleset>>,
}

impl Memory {
    /// Nothing in memory yet.
    pub(crate) fn new() -> Self {
        Memory { rules: Cache::new(RULES_MAX) }
    }
}

/// The kinds of push rules.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// The push rules of `user`: those that every account begins with, for nobody can change them yet.
///
/// # Errors
/// If the database does not answer.
pub async fn rules(home: &Home, user: &UserId) -> Answer<Arc<Ruleset>> {
    if let Some(rules) = home.push.rules.get(user) {
        return Ok(rules);
    }
    let rules = Arc::new(rules::push::default_rules(user));
    home.push.rules.insert(user.to_owned(), rules.clone());
    Ok(rules)
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

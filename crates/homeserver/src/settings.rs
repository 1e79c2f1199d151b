//! What users have set in their account data that the server itself goes by.
//!
//! Every event asks for it for every member of its room, so it is kept in memory. What this node writes
//! is in force at once; what another node wrote is after [`TRUSTED_MS`]. Push rules take ten kilobytes,
//! so all who never changed theirs share one set.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use rules::event::Event;
use ruma::{OwnedUserId, UserId, push::Ruleset};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::account_data as stored;

use crate::{Home, config, push, refusal::Answer};

/// Whom a user ignores.
pub const IGNORED_TYPE: &str = "m.ignored_user_list";

/// Whose invites a user wants.
pub const INVITES_TYPE: &str = "m.invite_permission_config";

/// What settings may take, in hundredths of all caches.
const PERCENT: u64 = 4;

/// Users that a user can ignore; further ones are not.
const IGNORED_MAX: usize = 10_000;

/// How long settings are believed before the database is asked again, in milliseconds, if other nodes write
/// to it as well.
const TRUSTED_MS: i64 = 5_000;

/// What one user has set.
#[derive(Debug)]
pub struct Settings {
    /// Which events notify the user; [`rules::push::shared_rules`] if the user never changed that.
    pub push_rules: Arc<Ruleset>,
    /// Which events notify those of the user's clients that have a profile tag, before all others.
    pub push_rules_by_tag: BTreeMap<String, Ruleset>,
    /// Whether these are the user's own push rules.
    pub own_push_rules: bool,
    /// Whose messages and invites the user does not want.
    pub ignored: HashSet<OwnedUserId>,
    /// Whether the user wants no invites at all.
    pub blocks_invites: bool,
}

impl Settings {
    /// Whether the user does not want to hear of an event: those that ignored users send, but for state,
    /// without which the room would not be the same to all.
    pub fn hides(&self, event: &Event) -> bool {
        !self.ignored.is_empty() && event.state_key().is_none() && self.ignored.contains(event.sender())
    }

    /// Whether the user does not want to hear of an invite by `inviter`.
    pub fn refuses_invite(&self, inviter: &str) -> bool {
        let ignored = || <&UserId>::try_from(inviter).is_ok_and(|inviter| self.ignored.contains(inviter));
        self.blocks_invites || (!self.ignored.is_empty() && ignored())
    }
}

/// Settings in memory.
pub struct Memory {
    known: Cache<OwnedUserId, Known, ByBytes>,
    shared_rules: Arc<Ruleset>,
    /// Counts changes, so that what was read before one is not kept after it.
    changes: Mutex<u64>,
}

#[derive(Clone)]
struct Known {
    settings: Arc<Settings>,
    read_ms: i64,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<OwnedUserId, Known> for ByBytes {
    fn weight(&self, _: &OwnedUserId, Known { settings, .. }: &Known) -> u64 {
        let own = settings.own_push_rules.then_some(&*settings.push_rules);
        let rules: usize =
            own.into_iter().chain(settings.push_rules_by_tag.values()).map(|set| set.iter().count()).sum();
        (300 + 500 * rules + 80 * settings.ignored.len()) as u64
    }
}

impl Memory {
    /// Nothing in memory yet.
    pub(crate) fn new(budget: &config::Memory) -> Self {
        Memory {
            known: Cache::with_weighter(16_384, budget.share(PERCENT), ByBytes),
            shared_rules: Arc::new(rules::push::shared_rules()),
            changes: Mutex::new(0),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn weight(&self) -> u64 {
        self.known.weight()
    }

    /// Notes that account data of `user` has changed. Called on the writer, before anybody can see it.
    pub fn changed(&self, user: &UserId) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.known.remove(user);
    }
}

/// What `user` has set.
///
/// # Errors
/// If the database does not answer.
pub async fn of(home: &Home, user: &UserId) -> Answer<Arc<Settings>> {
    let memory = &home.settings;
    let now_ms = home.clock.now_ms();
    if let Some(known) = memory.known.get(user)
        && (!home.db.has_other_writers() || (known.read_ms..known.read_ms + TRUSTED_MS).contains(&now_ms))
    {
        return Ok(known.settings);
    }
    let changes = *memory.changes.lock();
    let types = [push::ACCOUNT_DATA_TYPE, IGNORED_TYPE, INVITES_TYPE].map(str::to_owned);
    let data = stored::of_types(&home.db, user.as_str(), stored::GLOBAL, &types).await?;
    let content = |wanted: &str| {
        let found = data.iter().find(|data| data.data_type == wanted);
        found.map(|data| data.content.as_str())
    };
    let own_rules = content(push::ACCOUNT_DATA_TYPE).map(|content| push::read(user, content));
    let own_push_rules = own_rules.is_some();
    let (push_rules, push_rules_by_tag) = match own_rules {
        Some((rules, by_tag)) => (Arc::new(rules), by_tag),
        None => (memory.shared_rules.clone(), BTreeMap::new()),
    };
    let settings = Arc::new(Settings {
        push_rules,
        push_rules_by_tag,
        own_push_rules,
        ignored: content(IGNORED_TYPE).map(|content| ignored(user, content)).unwrap_or_default(),
        blocks_invites: content(INVITES_TYPE).is_some_and(blocks_invites),
    });
    let unchanged = memory.changes.lock();
    if *unchanged == changes {
        memory.known.insert(user.to_owned(), Known { settings: settings.clone(), read_ms: now_ms });
    }
    Ok(settings)
}

/// The users in an m.ignored_user_list; what is none is passed over. Nobody can ignore themselves.
fn ignored(user: &UserId, content: &str) -> HashSet<OwnedUserId> {
    #[derive(Deserialize)]
    struct Content {
        ignored_users: Map<String, Value>,
    }
    let Ok(Content { ignored_users }) = serde_json::from_str(content) else { return HashSet::new() };
    let users = ignored_users.into_iter().filter_map(|(user, _)| OwnedUserId::try_from(user).ok());
    users.filter(|ignored| ignored != user).take(IGNORED_MAX).collect()
}

/// Whether an m.invite_permission_config blocks all invites.
fn blocks_invites(content: &str) -> bool {
    #[derive(Deserialize)]
    struct Content {
        default_action: String,
    }
    serde_json::from_str::<Content>(content).is_ok_and(|content| content.default_action == "block")
}

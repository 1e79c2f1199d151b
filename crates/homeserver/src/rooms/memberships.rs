//! The rooms of a user, kept in memory for those who are about: every sync asks for them.

use std::sync::Arc;

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedUserId, UserId};
use store::members::Member;

use crate::{Home, refusal::Answer};

/// Bytes of memberships kept in memory.
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Where users stand in all their rooms.
pub struct Memberships {
    of_user: Cache<OwnedUserId, Arc<Vec<Member>>, ByBytes>,
    /// Counts changes, so that a list read before one is not kept after it.
    changes: Mutex<u64>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<OwnedUserId, Arc<Vec<Member>>> for ByBytes {
    fn weight(&self, _: &OwnedUserId, members: &Arc<Vec<Member>>) -> u64 {
        100 + 300 * members.len() as u64
    }
}

impl Memberships {
    pub(super) fn new() -> Self {
        Memberships { of_user: Cache::with_weighter(4_096, BYTES_MAX, ByBytes), changes: Mutex::new(0) }
    }

    /// Notes that where `user` stands somewhere has changed.
    pub fn changed(&self, user: &UserId) {
        let mut changes = self.changes.lock();
        *changes += 1;
        self.of_user.remove(user);
    }
}

/// What [`of_user`] answers, if that takes no question to the database.
pub fn at_hand(home: &Home, user: &UserId) -> Option<Arc<Vec<Member>>> {
    home.rooms.memberships.of_user.get(user)
}

/// Where `user` stands in all the rooms in which it was ever mentioned, as durable now. Rows may be
/// newer than a position looked at before this call.
///
/// # Errors
/// If the database does not answer.
pub async fn of_user(home: &Home, user: &UserId) -> Answer<Arc<Vec<Member>>> {
    let memory = &home.rooms.memberships;
    if let Some(members) = memory.of_user.get(user) {
        return Ok(members);
    }
    let changes = *memory.changes.lock();
    let members = Arc::new(store::members::of_user(&home.db, user.as_str()).await?);
    let unchanged = memory.changes.lock();
    if *unchanged == changes {
        memory.of_user.insert(user.to_owned(), members.clone());
    }
    Ok(members)
}

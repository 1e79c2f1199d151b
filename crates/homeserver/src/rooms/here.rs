//! The users of this server who are joined to a room: whom the bell wakes.
//!
//! They are at hand for every room that is in memory, and weighed: rooms of many users that nobody uses
//! are let go of once all together take too much.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use rules::weight::allocated;
use ruma::{OwnedUserId, UserId};

use super::tail::Weight;

/// What a place in the table of users takes, with those that are empty.
const PLACE_BYTES: usize = 32;

/// The users of one room.
pub(super) struct Here {
    users: Mutex<HashSet<OwnedUserId>>,
    weight: Arc<Weight>,
}

impl Here {
    /// Nobody.
    pub(super) fn new(weight: Arc<Weight>) -> Self {
        Here { users: Mutex::default(), weight }
    }

    /// Notes whether a user is joined.
    pub(super) fn set(&self, user: &UserId, joined: bool) {
        let mut users = self.users.lock();
        if joined && users.insert(user.to_owned()) {
            self.weight.add(bytes(user));
        } else if !joined && users.remove(user) {
            self.weight.take(bytes(user));
        }
    }

    /// Calls `f` with the users, under a lock.
    pub(super) fn with<T>(&self, f: impl FnOnce(&HashSet<OwnedUserId>) -> T) -> T {
        f(&self.users.lock())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.weight.take(self.users.get_mut().iter().map(|user| bytes(user)).sum());
    }
}

fn bytes(user: &UserId) -> u64 {
    (PLACE_BYTES + allocated(user.as_str().len())) as u64
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn who_is_here_is_weighed_until_the_room_is_gone() {
        let weight = Weight::new(200);
        let (here, alice, bob) = (Here::new(weight.clone()), user_id!("@alice:a"), user_id!("@bob:a"));
        here.set(alice, true);
        let one = weight.bytes();
        here.set(alice, true);
        here.set(bob, false);
        assert_eq!(weight.bytes(), one, "nothing has changed");
        here.set(bob, true);
        assert_eq!(weight.bytes(), 2 * one);
        here.set(bob, false);
        assert_eq!(weight.bytes(), one);
        drop(here);
        assert_eq!(weight.bytes(), 0);
    }
}

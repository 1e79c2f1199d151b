//! Who has pushers, and of whom something has happened since these were last looked after.
//!
//! What is to be pushed is not kept here: a pusher finds it in the store, from where it is on. While
//! nobody has a pusher, an event costs one look at a flag.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use tokio::sync::Notify;

use crate::rooms::Room;

/// Whose pushers are to be looked after.
#[derive(Default)]
pub struct Memory {
    /// Whether anybody has a pusher.
    any: AtomicBool,
    having: Mutex<Having>,
    marks: Mutex<Marks>,
    marked: Notify,
}

/// The users who have pushers, and perhaps some who had.
#[derive(Default)]
struct Having {
    users: HashSet<OwnedUserId>,
    /// Counts those who came, so that nobody is let go of who has come meanwhile.
    came: u64,
}

/// What has happened.
#[derive(Default)]
struct Marks {
    /// To all who are joined to these rooms, by the rooms' keys.
    rooms: HashMap<i64, Arc<Room>>,
    /// To these users; and whether all that they have not read is to be counted anew.
    users: HashMap<OwnedUserId, bool>,
    /// The newest of it.
    pos: i64,
}

impl Marks {
    fn user(&mut self, user: &UserId, anew: bool) {
        *self.users.entry(user.to_owned()).or_default() |= anew;
    }
}

/// Of whom something has happened.
pub(super) struct Marked {
    /// Users who have pushers; and whether all that they have not read is to be counted anew.
    pub(super) users: HashMap<OwnedUserId, bool>,
    /// The position up to which it is to be looked at.
    pub(super) pos: i64,
}

impl Memory {
    /// Notes that something happened in `room` up to `pos`, and with the memberships of `others`. Called on
    /// the writer, before anybody can see it.
    pub(crate) fn happened(&self, room: &Arc<Room>, pos: i64, others: &[OwnedUserId]) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        self.mark(pos, |marks| {
            marks.rooms.entry(room.key).or_insert_with(|| room.clone());
            others.iter().for_each(|user| marks.user(user, false));
        });
    }

    /// Notes that `user` has read something. Called as [`Memory::happened`] is.
    pub(crate) fn read(&self, user: &UserId, pos: i64) {
        if self.any.load(Ordering::Acquire) {
            self.mark(pos, |marks| marks.user(user, false));
        }
    }

    /// Notes that what notifies `user` has changed. Called as [`Memory::happened`] is.
    pub(crate) fn judged_anew(&self, user: &UserId, pos: i64) {
        if self.any.load(Ordering::Acquire) {
            self.mark(pos, |marks| marks.user(user, true));
        }
    }

    /// Notes that `user` has set a pusher. Called as [`Memory::happened`] is.
    pub(super) fn set(&self, user: &UserId, pos: i64) {
        self.have([user.to_owned()]);
        self.mark(pos, |marks| marks.user(user, false));
    }

    /// Notes that these users have pushers.
    pub(super) fn have(&self, users: impl IntoIterator<Item = OwnedUserId>) {
        let mut having = self.having.lock();
        having.users.extend(users);
        having.came += 1;
        self.any.store(!having.users.is_empty(), Ordering::Release);
    }

    /// How often somebody came who has pushers: to be asked before the store is, for [`Memory::gone`].
    pub(super) fn came(&self) -> u64 {
        self.having.lock().came
    }

    /// Forgets a user of whom the store has no pusher, unless somebody has come since `came`.
    pub(super) fn gone(&self, user: &UserId, came: u64) {
        let mut having = self.having.lock();
        if having.came == came {
            having.users.remove(user);
            self.any.store(!having.users.is_empty(), Ordering::Release);
        }
    }

    /// Notes users as if something had happened to them.
    pub(super) fn mark_users(&self, users: impl IntoIterator<Item = (OwnedUserId, bool)>) {
        self.mark(0, |marks| {
            users.into_iter().for_each(|(user, anew)| marks.user(&user, anew));
        });
    }

    fn mark(&self, pos: i64, how: impl FnOnce(&mut Marks)) {
        let mut marks = self.marks.lock();
        how(&mut marks);
        marks.pos = marks.pos.max(pos);
        drop(marks);
        self.marked.notify_one();
    }

    /// Waits until something has happened.
    pub(super) async fn marked(&self) {
        self.marked.notified().await;
    }

    /// What has happened, which is then no more.
    pub(super) fn take(&self) -> Marked {
        let Marks { rooms, mut users, pos } = std::mem::take(&mut *self.marks.lock());
        let having = self.having.lock();
        users.retain(|user, _| having.users.contains(user));
        for room in rooms.values() {
            room.with_joined_here(|joined| {
                // Whichever are fewer.
                let (few, many) = match having.users.len() < joined.len() {
                    true => (&having.users, joined),
                    false => (joined, &having.users),
                };
                for user in few.iter().filter(|user| many.contains(*user)) {
                    users.entry(user.clone()).or_default();
                }
            });
        }
        Marked { users, pos }
    }
}

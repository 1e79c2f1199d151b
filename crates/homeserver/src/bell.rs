//! The bell: wakes exactly those who wait for something that concerns them.
//!
//! A long poll costs one entry here while it waits, nothing when it does not. What the bell tells is
//! only that something happened; the woken one looks for itself, from its own position on. The writer
//! orders a ring before a position is published ([`Bell::ring_later`]), and [`ringing`] sounds it after.

use std::sync::Arc;

use dashmap::DashMap;
use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use store::Db;
use tokio::sync::{Notify, futures::OwnedNotified, mpsc};

use crate::rooms::Room;

/// Who waits, by user, and what is to be rung.
pub struct Bell {
    waiting: DashMap<OwnedUserId, Waiting>,
    orders: mpsc::UnboundedSender<Order>,
    to_ring: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    sound: Arc<Notify>,
    listeners: usize,
}

/// A ring to come.
struct Order {
    /// The position that must be published first.
    pos: i64,
    /// All members of this server in a room.
    room: Option<Arc<Room>>,
    /// Further users.
    users: Vec<OwnedUserId>,
}

impl Default for Bell {
    fn default() -> Self {
        let (orders, to_ring) = mpsc::unbounded_channel();
        Bell { waiting: DashMap::new(), orders, to_ring: Mutex::new(Some(to_ring)) }
    }
}

impl Bell {
    /// Begins to listen for what concerns `user`. Whatever rings from now on is heard by the next
    /// [`Ear::sound`], so look at the stream only after taking one.
    pub fn listen<'a>(&'a self, user: &UserId) -> Ear<'a> {
        let mut waiting = self.waiting.entry(user.to_owned()).or_default();
        waiting.listeners += 1;
        Ear { bell: self, user: user.to_owned(), sound: waiting.sound.clone() }
    }

    /// Wakes whoever waits as `user`.
    pub fn ring(&self, user: &UserId) {
        if let Some(waiting) = self.waiting.get(user) {
            waiting.sound.notify_waiters();
        }
    }

    /// Orders a ring for the members of `room` and for `users` once `pos` is published.
    pub fn ring_later(&self, pos: i64, room: Option<Arc<Room>>, users: Vec<OwnedUserId>) {
        // The ringer ends only with the server.
        let _ = self.orders.send(Order { pos, room, users });
    }

    /// Wakes the members of a room; goes through whichever are fewer, those or all who wait.
    pub fn ring_room(&self, room: &Room) {
        room.with_joined_here(|joined| {
            if self.waiting.len() < joined.len() {
                let concerned = self.waiting.iter().filter(|waiting| joined.contains(waiting.key()));
                concerned.for_each(|waiting| waiting.sound.notify_waiters());
            } else {
                joined.iter().for_each(|user| self.ring(user));
            }
        });
    }

    /// Whether somebody waits as `user`.
    pub fn is_listening(&self, user: &UserId) -> bool {
        self.waiting.contains_key(user)
    }

    /// How many wait.
    pub fn listeners(&self) -> usize {
        self.waiting.iter().map(|waiting| waiting.listeners).sum()
    }
}

/// Rings what was ordered, each once its position is published. A background loop: runs until the
/// database closes. A second call at the same time does nothing.
pub async fn ringing(bell: &Bell, db: &Db) {
    let Some(mut orders) = bell.to_ring.lock().take() else { return };
    let mut published = db.follow();
    while let Some(Order { pos, room, users }) = orders.recv().await {
        if published.wait_for(|upto| *upto >= pos).await.is_err() {
            return;
        }
        users.iter().for_each(|user| bell.ring(user));
        if let Some(room) = room {
            bell.ring_room(&room);
        }
    }
}

/// Somebody who listens; gone when dropped.
pub struct Ear<'a> {
    bell: &'a Bell,
    user: OwnedUserId,
    sound: Arc<Notify>,
}

impl Ear<'_> {
    /// The next ring after this call. Take it before looking at the stream, await it after.
    pub fn sound(&self) -> OwnedNotified {
        self.sound.clone().notified_owned()
    }
}

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        if let Some(mut waiting) = self.bell.waiting.get_mut(&self.user) {
            waiting.listeners -= 1;
        }
        self.bell.waiting.remove_if(&self.user, |_, waiting| waiting.listeners == 0);
    }
}

//! The bell: wakes exactly those who wait for something that concerns them.
//!
//! A long poll costs one entry here while it waits, nothing when it does not. What the bell tells is
//! only that something happened; the woken one looks for itself, from its own position on. The writer
//! orders a ring once a position is published ([`Bell::ring_soon`]), and [`ringing`] sounds it: a large
//! room takes a while, and the writer has other things to do.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering, fence},
    },
    time::Duration,
};

use dashmap::DashMap;
use parking_lot::Mutex;
use ruma::{OwnedUserId, UserId};
use tokio::sync::{Notify, futures::OwnedNotified, mpsc};

use crate::{
    refusal::{Answer, Refusal},
    rooms::Room,
};

/// Long polls that may wait as one user, over all devices: connections are for everybody.
pub const LISTENERS_MAX: usize = 256;

/// When who was one too many may come back.
const COME_BACK: Duration = Duration::from_secs(10);

/// Who waits, by user or by the room that is looked into, and what is to be rung.
pub struct Bell {
    waiting: DashMap<OwnedUserId, Waiting>,
    looking_in: DashMap<i64, Waiting>,
    listeners: AtomicUsize,
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
    /// All members of this server in a room.
    room: Option<Arc<Room>>,
    /// Further users.
    users: Vec<OwnedUserId>,
}

impl Default for Bell {
    fn default() -> Self {
        let (orders, to_ring) = mpsc::unbounded_channel();
        Bell {
            waiting: DashMap::new(),
            looking_in: DashMap::new(),
            listeners: AtomicUsize::new(0),
            orders,
            to_ring: Mutex::new(Some(to_ring)),
        }
    }
}

impl Bell {
    /// Begins to listen for what concerns `user`. Whatever rings from now on is heard by the next
    /// [`Ear::sound`], so look at the stream only after taking one.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if [`LISTENERS_MAX`] listen as `user` already.
    pub fn listen<'a>(&'a self, user: &UserId) -> Answer<Ear<'a>> {
        let mut waiting = self.waiting.entry(user.to_owned()).or_default();
        if waiting.listeners == LISTENERS_MAX {
            return Err(Refusal::limit_exceeded(COME_BACK));
        }
        self.begins();
        waiting.listeners += 1;
        Ok(Ear { bell: self, whose: Whose::User(user.to_owned()), sound: waiting.sound.clone() })
    }

    /// Begins to listen for what happens in the room with the key `room`, for who looks in without being
    /// a member.
    pub fn listen_in(&self, room: i64) -> Ear<'_> {
        self.begins();
        let mut waiting = self.looking_in.entry(room).or_default();
        waiting.listeners += 1;
        Ear { bell: self, whose: Whose::Room(room), sound: waiting.sound.clone() }
    }

    /// Wakes whoever waits as `user`.
    pub fn ring(&self, user: &UserId) {
        if let Some(waiting) = self.waiting.get(user) {
            waiting.sound.notify_waiters();
        }
    }

    /// Somebody more listens, before they look at the stream.
    fn begins(&self) {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Has the members of `room` and `users` woken. To be called once what they are to find is published:
    /// where nobody listens nothing is done, for who begins to listen now finds it without being woken.
    pub fn ring_soon(&self, room: Option<Arc<Room>>, users: Vec<OwnedUserId>) {
        fence(Ordering::SeqCst);
        if self.listeners() > 0 {
            // The ringer ends only with the server.
            let _ = self.orders.send(Order { room, users });
        }
    }

    /// Wakes the members of a room and who looks in; goes through whichever are fewer, the members or all
    /// who wait.
    pub fn ring_room(&self, room: &Room) {
        if let Some(waiting) = self.looking_in.get(&room.key) {
            waiting.sound.notify_waiters();
        }
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
        self.listeners.load(Ordering::Relaxed)
    }
}

/// Rings what was ordered. A background loop: runs as long as the server. A second call at the same time
/// does nothing.
pub async fn ringing(bell: &Bell) {
    let Some(mut orders) = bell.to_ring.lock().take() else { return };
    while let Some(Order { room, users }) = orders.recv().await {
        users.iter().for_each(|user| bell.ring(user));
        if let Some(room) = room {
            bell.ring_room(&room);
        }
    }
}

/// Somebody who listens; gone when dropped.
pub struct Ear<'a> {
    bell: &'a Bell,
    whose: Whose,
    sound: Arc<Notify>,
}

/// What somebody listens for.
enum Whose {
    User(OwnedUserId),
    Room(i64),
}

impl Ear<'_> {
    /// The next ring after this call. Take it before looking at the stream, await it after.
    pub fn sound(&self) -> OwnedNotified {
        self.sound.clone().notified_owned()
    }
}

impl Drop for Ear<'_> {
    fn drop(&mut self) {
        self.bell.listeners.fetch_sub(1, Ordering::Relaxed);
        match &self.whose {
            Whose::User(user) => leave(&self.bell.waiting, user),
            Whose::Room(room) => leave(&self.bell.looking_in, room),
        }
    }
}

fn leave<K: Eq + Hash>(all: &DashMap<K, Waiting>, key: &K) {
    if let Some(mut waiting) = all.get_mut(key) {
        waiting.listeners -= 1;
    }
    all.remove_if(key, |_, waiting| waiting.listeners == 0);
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn one_user_does_not_take_every_connection() {
        let bell = Bell::default();
        let (alice, bob) = (user_id!("@alice:hearth.test"), user_id!("@bob:hearth.test"));
        let mut ears: Vec<_> = (0..LISTENERS_MAX).map(|_| bell.listen(alice)).collect();
        assert!(ears.iter().all(Result::is_ok));
        assert_eq!(bell.listen(alice).err().map(|refusal| refusal.status), Some(429));
        assert!(bell.listen(bob).is_ok());
        ears.pop();
        assert!(bell.listen(alice).is_ok());
        drop(ears);
        assert_eq!(bell.listeners(), 0);
    }
}

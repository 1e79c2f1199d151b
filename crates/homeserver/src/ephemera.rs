//! What is only known while the server runs: who is typing, and who is about.
//!
//! Every change has a serial number, in one order for all of them. `/sync` tells clients up to which
//! one they have seen, beside the position. The numbers go on from the clock, so that a token from
//! before a restart is never mistaken for one of now.

use std::collections::{BTreeMap, HashMap};

use parking_lot::RwLock;
use ruma::{OwnedUserId, UserId};

use crate::presence::Presence;

/// Users who are shown as typing in one room at once.
pub const TYPING_USERS_MAX: usize = 100;

/// Rooms in which nobody types any more that are remembered for those who have not heard of it yet. Of
/// a room that is forgotten, who was away for so long learns when it next has something to tell.
const QUIET_ROOMS_MAX: usize = 4_096;

/// Typing and presence.
pub struct Ephemera(RwLock<Inside>);

struct Inside {
    /// Of the last change.
    serial: u64,
    /// The serial with which the server started.
    started: u64,
    typing: HashMap<i64, Typing>,
    /// Rooms by the serial of their last change.
    typing_by_serial: BTreeMap<u64, i64>,
    /// Those of them where nobody types any more.
    quiet_by_serial: BTreeMap<u64, i64>,
    /// Of rooms that changed last at this serial or before, some are forgotten.
    forgotten: u64,
    presence: HashMap<OwnedUserId, Known>,
    /// Users by the serial of their last change.
    presence_by_serial: BTreeMap<u64, OwnedUserId>,
}

/// Who is typing in a room, and until when (milliseconds since 1970).
#[derive(Default)]
struct Typing {
    serial: u64,
    until_ms: BTreeMap<OwnedUserId, i64>,
}

struct Known {
    serial: u64,
    presence: Presence,
}

impl Ephemera {
    /// Nobody is known to be about. `now_ms` is the time since 1970.
    pub fn new(now_ms: i64) -> Self {
        let started = u64::try_from(now_ms).unwrap_or(0).max(1);
        Ephemera(RwLock::new(Inside {
            serial: started,
            started,
            typing: HashMap::new(),
            typing_by_serial: BTreeMap::new(),
            quiet_by_serial: BTreeMap::new(),
            forgotten: 0,
            presence: HashMap::new(),
            presence_by_serial: BTreeMap::new(),
        }))
    }

    /// The serial of the last change.
    pub fn serial(&self) -> u64 {
        self.0.read().serial
    }

    /// The serial to go on from: `seen` if it is one of this run of the server, else 0.
    pub fn known(&self, seen: u64) -> u64 {
        let inside = self.0.read();
        if (inside.started..=inside.serial).contains(&seen) { seen } else { 0 }
    }

    /// Notes that `user` types in `room` until `until_ms`, or has stopped. Answers whether the list of
    /// who types has changed.
    pub fn set_typing(&self, room: i64, user: &UserId, until_ms: Option<i64>) -> bool {
        let mut inside = self.0.write();
        if until_ms.is_none() && !inside.typing.contains_key(&room) {
            return false;
        }
        let typing = inside.typing.entry(room).or_default();
        let full = typing.until_ms.len() >= TYPING_USERS_MAX && !typing.until_ms.contains_key(user);
        let changed = match until_ms {
            Some(_) if full => false,
            Some(until_ms) => typing.until_ms.insert(user.to_owned(), until_ms).is_none(),
            None => typing.until_ms.remove(user).is_some(),
        };
        if changed {
            inside.typing_changed(room);
        }
        changed
    }

    /// Lets those stop typing whose time is over. Answers the rooms where that changed who types.
    pub fn stop_typing(&self, now_ms: i64) -> Vec<i64> {
        let nobody_types = |inside: &Inside| inside.typing.len() == inside.quiet_by_serial.len();
        if nobody_types(&self.0.read()) {
            return Vec::new();
        }
        let mut inside = self.0.write();
        let mut changed = Vec::new();
        for (room, typing) in &mut inside.typing {
            let before = typing.until_ms.len();
            typing.until_ms.retain(|_, until_ms| *until_ms > now_ms);
            if typing.until_ms.len() != before {
                changed.push(*room);
            }
        }
        changed.iter().for_each(|room| inside.typing_changed(*room));
        changed
    }

    /// Who types in `room`, if that changed after the serial `since`; with 0, if anybody types.
    pub fn typing(&self, room: i64, since: u64) -> Option<Vec<OwnedUserId>> {
        let inside = self.0.read();
        let Some(typing) = inside.typing.get(&room) else {
            return (1..inside.forgotten).contains(&since).then(Vec::new);
        };
        if typing.serial <= since {
            return None;
        }
        let nothing_new = since == 0 && typing.until_ms.is_empty();
        (!nothing_new).then(|| typing.until_ms.keys().cloned().collect())
    }

    /// The rooms where who types changed after the serial `since`.
    pub fn typing_changed_after(&self, since: u64) -> Vec<i64> {
        let inside = self.0.read();
        inside.typing_by_serial.range(since.saturating_add(1)..).map(|(_, room)| *room).collect()
    }

    /// What is known of `user`.
    pub fn presence(&self, user: &UserId) -> Option<Presence> {
        self.0.read().presence.get(user).map(|known| known.presence.clone())
    }

    /// Notes what is known of `user`; `tell` whether others are to learn of it.
    pub fn set_presence(&self, user: &UserId, presence: Presence, tell: bool) {
        let mut inside = self.0.write();
        let before = inside.presence.get(user).map(|known| known.serial);
        let serial = if tell { inside.next() } else { before.unwrap_or(0) };
        if tell {
            before.map(|before| inside.presence_by_serial.remove(&before));
            inside.presence_by_serial.insert(serial, user.to_owned());
        }
        inside.presence.insert(user.to_owned(), Known { serial, presence });
    }

    /// Those of whom something changed after the serial `since`, the last one last; the first `limit` of them.
    pub fn presence_changed_after(&self, since: u64, limit: usize) -> Vec<(OwnedUserId, Presence)> {
        let inside = self.0.read();
        let users = inside.presence_by_serial.range(since.saturating_add(1)..).map(|(_, user)| user);
        let known = users.take(limit);
        known.filter_map(|user| Some((user.clone(), inside.presence.get(user)?.presence.clone()))).collect()
    }

    /// Adds those of `users` of whom something changed after the serial `since` to `found`, by its serial.
    pub fn presence_of_after<'a>(
        &self,
        users: impl IntoIterator<Item = &'a UserId>,
        since: u64,
        found: &mut BTreeMap<u64, (OwnedUserId, Presence)>,
    ) {
        let inside = self.0.read();
        for user in users {
            if let Some(known) = inside.presence.get(user).filter(|known| known.serial > since) {
                found.entry(known.serial).or_insert_with(|| (user.to_owned(), known.presence.clone()));
            }
        }
    }

    /// Changes what is known of everybody; `change` answers whether others are to learn of it. Answers
    /// of whom they are.
    pub fn update_presence(
        &self,
        mut change: impl FnMut(&UserId, &mut Presence) -> bool,
    ) -> Vec<OwnedUserId> {
        let mut inside = self.0.write();
        let mut changed = Vec::new();
        for (user, known) in &mut inside.presence {
            if change(user, &mut known.presence) {
                changed.push(user.clone());
            }
        }
        for user in &changed {
            let serial = inside.next();
            if let Some(known) = inside.presence.get_mut(user) {
                let before = std::mem::replace(&mut known.serial, serial);
                inside.presence_by_serial.remove(&before);
                inside.presence_by_serial.insert(serial, user.clone());
            }
        }
        changed
    }
}

impl Inside {
    fn next(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn typing_changed(&mut self, room: i64) {
        let serial = self.next();
        if let Some(typing) = self.typing.get_mut(&room) {
            let before = std::mem::replace(&mut typing.serial, serial);
            self.typing_by_serial.remove(&before);
            self.typing_by_serial.insert(serial, room);
            self.quiet_by_serial.remove(&before);
            if typing.until_ms.is_empty() {
                self.quiet_by_serial.insert(serial, room);
            }
        }
        while self.quiet_by_serial.len() > QUIET_ROOMS_MAX
            && let Some((serial, room)) = self.quiet_by_serial.pop_first()
        {
            self.typing.remove(&room);
            self.typing_by_serial.remove(&serial);
            self.forgotten = self.forgotten.max(serial);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn rooms_where_nobody_types_any_more_are_forgotten_in_the_end() {
        let (ephemera, alice) = (Ephemera::new(1), user_id!("@alice:a"));
        let rooms = i64::try_from(2 * QUIET_ROOMS_MAX).expect("a small number");
        ephemera.set_typing(0, alice, Some(i64::MAX));
        let seen = ephemera.serial();
        for room in 1..=rooms {
            ephemera.set_typing(room, alice, None);
            ephemera.set_typing(room, alice, Some(10));
        }
        assert_eq!(ephemera.stop_typing(10).len(), 2 * QUIET_ROOMS_MAX);
        let inside = ephemera.0.read();
        assert_eq!(inside.typing.len(), QUIET_ROOMS_MAX + 1, "and the room where somebody types");
        assert_eq!(inside.typing_by_serial.len(), inside.typing.len());
        drop(inside);
        assert_eq!(ephemera.typing_changed_after(seen).len(), QUIET_ROOMS_MAX);
        assert!((0..=rooms).all(|room| room == 0 || ephemera.typing(room, seen) == Some(Vec::new())));
        assert!((0..=rooms).all(|room| ephemera.typing(room, ephemera.serial()).is_none()));
        assert_eq!(ephemera.typing(0, 0), Some(vec![alice.to_owned()]), "who types is not forgotten");
    }

    #[test]
    fn nobody_is_remembered_who_never_typed() {
        let ephemera = Ephemera::new(1);
        assert!((0..10).all(|room| !ephemera.set_typing(room, user_id!("@alice:a"), None)));
        assert!(ephemera.0.read().typing.is_empty());
    }
}

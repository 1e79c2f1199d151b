//! Which members a client has been told already, where members are loaded lazily.
//!
//! Spec: client-server API, «Lazy-loading room members»: a client remembers what it was told, and is
//! not told again unless it wants `include_redundant_members`. To suppress one member event too many
//! would leave somebody without a name, so what is remembered here counts only for who can prove to have
//! heard it: each answer has a number, the *link*, which stands in its token. A sync from that token
//! goes on the same *chain* of answers; a sync from any other token (the answer was lost, the client went
//! back, a second client uses the same device, the server was restarted) begins a new one, of which
//! nothing is known yet.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use rules::event::Event;
use ruma::{EventId, OwnedDeviceId, OwnedUserId};

use crate::{config, home::Dice, who::Device};

/// What the memory of what was told may take, in hundredths of all caches.
const PERCENT: u64 = 4;

/// Bytes of one member in memory, its share of the table included.
const MEMBER_BYTES: u64 = 48;

/// Bytes of a room in memory without its members.
const ROOM_BYTES: u64 = 160;

/// Devices whose last answer is remembered, some 150 bytes each.
const CHAINS_MAX: usize = 65_536;

/// What devices have been told.
pub struct Memory {
    chains: Cache<(OwnedUserId, OwnedDeviceId), Chain>,
    /// By chain and room.
    rooms: Cache<(u64, i64), Arc<Members>, ByBytes>,
    links: AtomicU64,
    key: RandomState,
    /// Held while an answer is added to a chain.
    adding: Mutex<()>,
}

/// The answers that one device was given, each from the token of the one before.
#[derive(Clone, Copy)]
struct Chain {
    /// The link of the first answer.
    id: u64,
    /// The link of the last one.
    last: u64,
}

/// By the hash of a user, the hash of the member event and the link of the answer it stood in.
type Members = HashMap<u64, (u64, u64)>;

#[derive(Clone)]
struct ByBytes;

impl Weighter<(u64, i64), Arc<Members>> for ByBytes {
    fn weight(&self, _: &(u64, i64), members: &Arc<Members>) -> u64 {
        ROOM_BYTES + MEMBER_BYTES * members.capacity() as u64
    }
}

impl Memory {
    /// Nothing is remembered. The first link is a number that no earlier run of the server gave out.
    pub(crate) fn new(budget: &config::Memory, dice: &Dice) -> Self {
        Memory {
            chains: Cache::new(CHAINS_MAX),
            rooms: Cache::with_weighter(16_384, budget.share(PERCENT), ByBytes),
            links: AtomicU64::new((u64::from_le_bytes(dice.bytes()) >> 16) + 1),
            key: RandomState::new(),
            adding: Mutex::new(()),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn weight(&self) -> u64 {
        self.rooms.weight()
    }
}

/// One answer to a device, under construction.
pub(super) struct Telling {
    /// What the client said it has heard up to; 0 if it did not.
    since: u64,
    /// The chain that the answer goes on, if it goes on any.
    chain: Option<u64>,
    /// The link of this answer.
    pub(super) link: u64,
    /// What it tells: rooms, and the hashes of users and of their member events.
    told: Mutex<Vec<(i64, u64, u64)>>,
    /// Rooms of which it tells everything: what the client knew of them it may have forgotten.
    anew: Mutex<HashSet<i64>>,
}

impl Telling {
    /// Begins an answer for `who` from the link `since` on.
    pub(super) fn begin(memory: &Memory, who: &Device, since: u64) -> Self {
        let device = (who.user_id.clone(), who.device_id.clone());
        let chain = memory.chains.get(&device).filter(|chain| since != 0 && chain.last == since);
        Telling {
            since,
            chain: chain.map(|chain| chain.id),
            link: memory.links.fetch_add(1, Ordering::Relaxed),
            told: Mutex::default(),
            anew: Mutex::default(),
        }
    }

    /// Whether the client was told in an earlier answer that `user` is in `room` by this event, and of
    /// nothing else since.
    pub(super) fn knows(&self, memory: &Memory, room: i64, user: &str, event_id: &EventId) -> bool {
        let Some(members) = self.chain.and_then(|chain| memory.rooms.get(&(chain, room))) else {
            return false;
        };
        let told = members.get(&memory.key.hash_one(user)).copied();
        told.is_some_and(|(event, link)| {
            event == memory.key.hash_one(event_id.as_str()) && link <= self.since
        })
    }

    /// Notes that the answer tells the client of `room` as of one that it does not know.
    pub(super) fn begins_anew(&self, room: i64) {
        self.anew.lock().insert(room);
    }

    /// Notes that the answer tells these events of `room`.
    pub(super) fn tells<'a>(&self, memory: &Memory, room: i64, events: impl Iterator<Item = &'a Event>) {
        let members = events.filter_map(|event| match event.state_place() {
            Some(("m.room.member", user)) => {
                Some((room, memory.key.hash_one(user), memory.key.hash_one(event.event_id().as_str())))
            }
            _ => None,
        });
        self.told.lock().extend(members);
    }

    /// The answer is on its way.
    pub(super) fn done(self, memory: &Memory, who: &Device) {
        let device = (who.user_id.clone(), who.device_id.clone());
        let _alone = memory.adding.lock();
        // Another answer from the same token may have been faster: then this one is heard instead of it.
        let still = memory.chains.get(&device).is_some_and(|chain| chain.last == self.since);
        let id = self.chain.filter(|_| still).unwrap_or(self.link);
        let mut rooms: HashMap<i64, Vec<(u64, u64)>> = HashMap::new();
        for (room, user, event) in self.told.into_inner() {
            rooms.entry(room).or_default().push((user, event));
        }
        let anew = self.anew.into_inner();
        anew.iter().for_each(|room| drop(memory.rooms.remove(&(id, *room))));
        for (room, told) in rooms {
            // Taken out, for it will weigh more. Who looks meanwhile is told too much, never too little.
            let known = memory.rooms.remove(&(id, room));
            let mut members = known.map(|(_, members)| Arc::unwrap_or_clone(members)).unwrap_or_default();
            members.extend(told.into_iter().map(|(user, event)| (user, (event, self.link))));
            memory.rooms.insert((id, room), Arc::new(members));
        }
        memory.chains.insert(device, Chain { id, last: self.link });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU8;

    use ruma::{device_id, event_id, user_id};

    use super::*;
    use crate::who::Kind;

    fn dice() -> Dice {
        let next = AtomicU8::new(1);
        Dice::new(move |bytes| bytes.fill(next.fetch_add(1, Ordering::Relaxed)))
    }

    fn device() -> Device {
        Device {
            user_id: user_id!("@alice:a").to_owned(),
            device_id: device_id!("D").to_owned(),
            kind: Kind::User,
            admin: false,
            suspended: false,
            token_hash: [0; 32],
            address: None,
        }
    }

    fn tell(telling: &Telling, memory: &Memory, user: &str, event_id: &EventId) {
        let hashes = (memory.key.hash_one(user), memory.key.hash_one(event_id.as_str()));
        telling.told.lock().push((1, hashes.0, hashes.1));
    }

    #[test]
    fn only_who_heard_an_answer_is_not_told_again() {
        let (memory, who, (m1, m2)) =
            (Memory::new(&config::Memory::default(), &dice()), device(), (event_id!("$1"), event_id!("$2")));
        let first = Telling::begin(&memory, &who, 0);
        tell(&first, &memory, "@bob:a", m1);
        let heard = first.link;
        first.done(&memory, &who);
        // From the token of that answer on.
        let second = Telling::begin(&memory, &who, heard);
        assert!(second.knows(&memory, 1, "@bob:a", m1));
        assert!(!second.knows(&memory, 1, "@bob:a", m2), "bob is another now");
        assert!(!second.knows(&memory, 2, "@bob:a", m1), "in another room");
        assert!(!second.knows(&memory, 1, "@carol:a", m1), "somebody else");
        // From none, from one before, from one of another run.
        for since in [0, heard - 1, heard + 1_000_000] {
            assert!(!Telling::begin(&memory, &who, since).knows(&memory, 1, "@bob:a", m1), "{since}");
        }
        let other = Device { device_id: device_id!("E").to_owned(), ..device() };
        assert!(!Telling::begin(&memory, &other, heard).knows(&memory, 1, "@bob:a", m1));
    }

    #[test]
    fn of_two_answers_from_one_token_only_the_one_that_was_heard_counts() {
        let (memory, who, (m1, m2)) =
            (Memory::new(&config::Memory::default(), &dice()), device(), (event_id!("$1"), event_id!("$2")));
        let first = Telling::begin(&memory, &who, 0);
        tell(&first, &memory, "@bob:a", m1);
        let heard = first.link;
        first.done(&memory, &who);
        let (lost, again) = (Telling::begin(&memory, &who, heard), Telling::begin(&memory, &who, heard));
        tell(&lost, &memory, "@carol:a", m2);
        let lost_link = lost.link;
        lost.done(&memory, &who);
        assert!(!again.knows(&memory, 1, "@carol:a", m2), "what was told meanwhile was told to nobody");
        let again_link = again.link;
        again.done(&memory, &who);
        let after = Telling::begin(&memory, &who, again_link);
        assert!(!after.knows(&memory, 1, "@carol:a", m2));
        assert!(!Telling::begin(&memory, &who, lost_link).knows(&memory, 1, "@carol:a", m2));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (memory, who) = (Memory::new(&config::Memory::default(), &dice()), device());
        let mut since = 0;
        for room in 0..40 {
            let telling = Telling::begin(&memory, &who, since);
            telling.told.lock().extend((0..50_000).map(|user| (room, user, 7)));
            since = telling.link;
            telling.done(&memory, &who);
        }
        assert!(memory.rooms.weight() <= config::Memory::default().share(PERCENT));
    }
}

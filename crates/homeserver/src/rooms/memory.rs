//! The rooms, events and state nodes that are in memory.
//!
//! Events and nodes never change (but for redaction), so they are simply cached within a budget of
//! bytes. A [`Room`] is more than a copy: it carries the lock under which events are built, and its
//! newest events. While anybody holds one, there is exactly one for each room.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use dashmap::DashMap;
use parking_lot::{Mutex, RwLock};
use quick_cache::{Weighter, sync::Cache};
use rules::{
    event::Event,
    state_tree::{Node, Root},
};
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId, UserId,
    events::room::history_visibility::HistoryVisibility, room_version_rules::RoomVersionRules,
};
use store::rooms::StoredRoom;

use crate::{
    Home, config,
    refusal::{Answer, Refusal},
    rooms::{
        TimelineEvent,
        create::Births,
        delayed_events::Delays,
        here::Here,
        memberships::Memberships,
        summary::Summaries,
        tail::{Tail, Weight},
        txns::Txns,
        unsettled::Unsettled,
    },
};

/// What events, state nodes, the newest events of rooms and the users in them may take, in hundredths of
/// all caches.
const EVENTS_PERCENT: u64 = 26;
const NODES_PERCENT: u64 = 16;
const TAILS_PERCENT: u64 = 10;
const HERE_PERCENT: u64 = 8;

/// What a cache takes for each thing that it keeps, and for some that it kept.
const KEPT_BYTES: usize = 128;

/// States whose history visibility is remembered.
const VISIBILITIES_MAX: usize = 65_536;

/// Changes of all rooms that are kept in the order in which they happened.
const LATEST_CHANGES_MAX: usize = 4_096;

/// Rooms of which it is remembered when something last happened; half of these at least.
const CHANGED_ROOMS_MAX: usize = 131_072;

/// Rooms that may stay in memory while nobody uses them.
const IDLE_ROOMS_MAX: usize = 4_096;

/// Rooms, events and state nodes in memory.
pub struct Memory {
    by_id: DashMap<OwnedRoomId, Arc<Room>>,
    by_key: DashMap<i64, Arc<Room>>,
    /// Held while a room is brought in, so that it comes in once.
    loading: tokio::sync::Mutex<()>,
    /// When something last happened in each room, if that was after `known_since`.
    last_change: DashMap<i64, i64>,
    /// What happened last, in the order of positions.
    latest: RwLock<Latest>,
    /// The position at which the server started, or up to which rooms were forgotten: what is in memory
    /// says nothing of before.
    known_since: AtomicI64,
    /// The rooms of users, as the store has them.
    pub memberships: Memberships,
    /// When the last room was created.
    pub(super) births: Births,
    /// What rooms tell about themselves.
    pub summaries: Summaries,
    /// Requests with a transaction id that are under way.
    pub(super) txns: Txns,
    /// Wakes the loop that sends delayed events.
    pub(super) delays: Delays,
    /// Counts redactions, so that an event read before one is not kept after it.
    redactions: Mutex<u64>,
    /// Parsed events. Written by [`Memory::keep`] and [`Memory::replace`] alone.
    pub events: Cache<OwnedEventId, Arc<Event>, ByBytes>,
    /// Nodes of state trees.
    pub nodes: Cache<Root, Arc<Node>, ByBytes>,
    /// What is built upon before it is durable.
    pub(super) unsettled: Arc<Unsettled>,
    /// The history visibility in states.
    pub visibilities: Cache<Root, HistoryVisibility>,
    /// What rooms take.
    pub(super) weights: Weights,
}

/// What all rooms in memory take.
pub(super) struct Weights {
    /// Their newest events.
    tails: Arc<Weight>,
    /// The users of this server in them.
    here: Arc<Weight>,
}

impl Weights {
    fn of(budget: &config::Memory) -> Self {
        let weight = |percent| Weight::new(budget.share(percent));
        Weights { tails: weight(TAILS_PERCENT), here: weight(HERE_PERCENT) }
    }

    fn are_too_much(&self) -> bool {
        self.tails.is_too_much() || self.here.is_too_much()
    }
}

/// Weighs what is cached, in bytes.
#[derive(Clone)]
pub struct ByBytes;

impl Weighter<OwnedEventId, Arc<Event>> for ByBytes {
    fn weight(&self, _: &OwnedEventId, event: &Arc<Event>) -> u64 {
        (event.weight() + KEPT_BYTES) as u64
    }
}

impl Weighter<Root, Arc<Node>> for ByBytes {
    fn weight(&self, _: &Root, node: &Arc<Node>) -> u64 {
        (node.weight() + KEPT_BYTES) as u64
    }
}

/// The newest changes of all rooms.
struct Latest {
    /// Every change after this position is in `changes`.
    since: i64,
    /// Position and room.
    changes: VecDeque<(i64, i64)>,
}

impl Memory {
    /// Nothing in memory yet; `started` is the newest position.
    pub fn new(started: i64, budget: &config::Memory) -> Self {
        // An event has about a kilobyte, a node half of one: the estimates only size the tables.
        Memory {
            by_id: DashMap::new(),
            by_key: DashMap::new(),
            loading: tokio::sync::Mutex::new(()),
            last_change: DashMap::new(),
            latest: RwLock::new(Latest { since: started, changes: VecDeque::new() }),
            known_since: AtomicI64::new(started),
            memberships: Memberships::new(budget),
            births: Births::default(),
            summaries: Summaries::new(budget),
            txns: Txns::default(),
            delays: Delays::default(),
            redactions: Mutex::default(),
            events: Cache::with_weighter(16_384, budget.share(EVENTS_PERCENT), ByBytes),
            nodes: Cache::with_weighter(16_384, budget.share(NODES_PERCENT), ByBytes),
            unsettled: Arc::default(),
            visibilities: Cache::new(VISIBILITIES_MAX),
            weights: Weights::of(budget),
        }
    }

    /// Bytes that each kind of thing takes here.
    pub(crate) fn weights(&self) -> [(&'static str, u64); 6] {
        [
            ("events", self.events.weight()),
            ("state", self.nodes.weight()),
            ("timelines", self.weights.tails.bytes()),
            ("users_in_rooms", self.weights.here.bytes()),
            ("memberships", self.memberships.weight()),
            ("summaries", self.summaries.weight()),
        ]
    }

    /// Notes that something happened in a room. Called on the writer, before `pos` is published.
    pub fn changed(&self, room: i64, pos: i64) {
        let is_new = self.last_change.insert(room, pos).is_none();
        if is_new && self.last_change.len() > CHANGED_ROOMS_MAX {
            self.forget_changes();
        }
        let mut latest = self.latest.write();
        latest.changes.push_back((pos, room));
        if latest.changes.len() > LATEST_CHANGES_MAX
            && let Some((oldest, _)) = latest.changes.pop_front()
        {
            latest.since = oldest;
        }
    }

    /// The rooms in which something happened after `since`, each once, if that is at hand and those
    /// are at most `count` changes.
    pub fn changed_after(&self, since: i64, count: usize) -> Option<Vec<i64>> {
        let latest = self.latest.read();
        if latest.since > since {
            return None;
        }
        let newer = latest.changes.iter().rev().take_while(|(pos, _)| *pos > since);
        let mut rooms = Vec::new();
        for (seen, (_, room)) in newer.enumerate() {
            if seen == count {
                return None;
            }
            rooms.push(*room);
        }
        drop(latest);
        rooms.sort_unstable();
        rooms.dedup();
        Some(rooms)
    }

    /// Those of `rooms` in which something happened after `since`, if that is remembered.
    pub fn of_those_changed_after(&self, since: i64, rooms: impl Iterator<Item = i64>) -> Option<Vec<i64>> {
        let changed = |room: &i64| self.last_change.get(room).is_some_and(|last| *last > since);
        let rooms = rooms.filter(changed).collect();
        // Looked at last: rooms are forgotten only after this number says so.
        (since >= self.known_since.load(Ordering::SeqCst)).then_some(rooms)
    }

    /// Forgets the half of the rooms where nothing happened for longest. Only on the writer.
    fn forget_changes(&self) {
        let mut changes: Vec<i64> = self.last_change.iter().map(|change| *change).collect();
        let half = changes.len() / 2;
        let (_, oldest_kept, _) = changes.select_nth_unstable(half);
        let forgotten = *oldest_kept - 1;
        self.known_since.fetch_max(forgotten, Ordering::SeqCst);
        self.last_change.retain(|_, pos| *pos > forgotten);
    }

    /// How many redactions there were: to be asked before an event is read, for [`Memory::keep`].
    pub(super) fn redactions(&self) -> u64 {
        *self.redactions.lock()
    }

    /// Keeps an event at hand that was read from the store, unless it may have been redacted since.
    pub(super) fn keep(&self, event: &Arc<Event>, redactions: u64) {
        let unchanged = self.redactions.lock();
        if *unchanged == redactions {
            self.events.insert(event.event_id().to_owned(), event.clone());
        }
    }

    /// Puts a redacted event in the place of the whole one.
    pub(super) fn replace(&self, pruned: &Arc<Event>) {
        let mut redactions = self.redactions.lock();
        *redactions += 1;
        self.events.insert(pruned.event_id().to_owned(), pruned.clone());
    }

    /// Takes a room in, or answers the one that is there already.
    pub(super) fn insert(&self, room: Room) -> Arc<Room> {
        let room = self.by_key.entry(room.key).or_insert_with(|| Arc::new(room)).clone();
        self.by_id.insert(room.room_id.clone(), room.clone());
        room
    }

    /// Lets go of rooms that nobody uses, once there are too many or they keep too much. Only while `loading` is held.
    fn make_room(&self) {
        let too_many = self.by_id.len() >= IDLE_ROOMS_MAX;
        if !too_many && !self.weights.are_too_much() {
            return;
        }
        // Two references are the maps' own; a third belongs to somebody at work.
        let idle = self.by_id.iter().filter(|room| Arc::strong_count(room) <= 2);
        let idle: Vec<_> = idle.take(IDLE_ROOMS_MAX / 4).map(|room| room.room_id.clone()).collect();
        for room_id in idle {
            if !too_many && !self.weights.are_too_much() {
                return;
            }
            let gone = self.by_id.remove_if(&room_id, |_, room| Arc::strong_count(room) <= 2);
            if let Some((_, room)) = gone {
                // Whoever found it by its key in the meantime keeps it in use.
                if self.by_key.remove_if(&room.key, |_, room| Arc::strong_count(room) <= 2).is_none() {
                    self.by_id.insert(room_id, room);
                }
            }
        }
    }
}

/// A room in memory.
pub struct Room {
    /// The room's key: the position of its create event.
    pub key: i64,
    /// The room id.
    pub room_id: OwnedRoomId,
    /// The room version.
    pub version: RoomVersionId,
    /// What that version says.
    pub rules: &'static RoomVersionRules,
    /// Where the room stands; `None` until it is read, and again if a commit failed.
    pub(super) newest: Arc<tokio::sync::Mutex<Newest>>,
    /// Its newest events.
    pub(crate) tail: Tail,
    joined_here: Here,
}

/// The head as far as events were handed to the writer.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// `None` if it must be read from the store first.
    pub(super) head: Option<Head>,
    /// Counts the heads that never came to be: all that was built on one falls with it, and only the
    /// first to fall may take the head away.
    pub(super) fallen: u64,
}

/// Where a room stands: what the next event is built on.
#[derive(Clone, Debug)]
pub struct Head {
    /// The forward extremities.
    pub extremities: Vec<OwnedEventId>,
    /// The depth of the deepest of them.
    pub depth: u64,
    /// The state after them.
    pub root: Root,
}

impl Newest {
    /// The head, read from the store if it is not at hand.
    pub(super) async fn head(&mut self, home: &Home, room: &Room) -> Answer<&Head> {
        match &mut self.head {
            Some(head) => Ok(head),
            none => Ok(none.insert(read_head(home, room).await?)),
        }
    }
}

impl Head {
    /// As the store compares it.
    pub fn to_text(&self) -> String {
        self.extremities.iter().map(|event_id| event_id.as_str()).collect::<Vec<_>>().join(",")
    }
}

impl Room {
    pub(super) fn new(
        key: i64,
        room_id: OwnedRoomId,
        version: RoomVersionId,
        weights: &Weights,
    ) -> Answer<Self> {
        Ok(Room {
            rules: rules::versions::rules(&version)?,
            key,
            room_id,
            version,
            newest: Arc::default(),
            tail: Tail::new(weights.tails.clone()),
            joined_here: Here::new(weights.here.clone()),
        })
    }

    /// Where the room stands now.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn head(&self, home: &Home) -> Answer<Head> {
        let mut newest = self.newest.lock().await;
        newest.head(home, self).await.cloned()
    }

    /// Notes whether a user of this server is joined.
    pub(super) fn set_joined_here(&self, user: &UserId, joined: bool) {
        self.joined_here.set(user, joined);
    }

    /// The users of this server who are joined.
    pub fn joined_here(&self) -> Vec<OwnedUserId> {
        self.with_joined_here(|joined| joined.iter().cloned().collect())
    }

    /// Calls `f` with the users of this server who are joined, under a lock: `f` must be short.
    pub fn with_joined_here<T>(&self, f: impl FnOnce(&HashSet<OwnedUserId>) -> T) -> T {
        self.joined_here.with(f)
    }
}

/// The room with this id.
///
/// # Errors
/// `M_NOT_FOUND` if this server does not know it.
pub async fn find(home: &Home, room_id: &RoomId) -> Answer<Arc<Room>> {
    if let Some(room) = home.rooms.by_id.get(room_id) {
        return Ok(room.clone());
    }
    let stored = store::rooms::by_id(&home.db, room_id.as_str()).await?;
    bring_in(home, stored).await
}

/// The room with this key.
///
/// # Errors
/// `M_NOT_FOUND` if there is none.
pub async fn find_by_key(home: &Home, key: i64) -> Answer<Arc<Room>> {
    if let Some(room) = home.rooms.by_key.get(&key) {
        return Ok(room.clone());
    }
    let stored = store::rooms::by_key(&home.db, key).await?;
    bring_in(home, stored).await
}

async fn bring_in(home: &Home, stored: Option<StoredRoom>) -> Answer<Arc<Room>> {
    let stored = stored.ok_or_else(|| Refusal::not_found("This server does not know that room"))?;
    let _alone = home.rooms.loading.lock().await;
    if let Some(room) = home.rooms.by_key.get(&stored.room) {
        return Ok(room.clone());
    }
    let damaged = |_| Refusal::broken(format!("the room {} is stored with a malformed id", stored.room_id));
    let room_id = RoomId::parse(&*stored.room_id).map_err(damaged)?;
    let version = RoomVersionId::try_from(&*stored.version).map_err(damaged)?;
    let room = Room::new(stored.room, room_id, version, &home.rooms.weights)?;
    let joined = store::members::users(&home.db, stored.room, "join").await?;
    let joined = joined.into_iter().filter_map(|user| OwnedUserId::try_from(user).ok());
    joined
        .filter(|user| user.server_name() == home.server_name())
        .for_each(|user| room.set_joined_here(&user, true));
    home.rooms.make_room();
    Ok(home.rooms.insert(room))
}

/// Reads where a room stands.
pub(super) async fn read_head(home: &Home, room: &Room) -> Answer<Head> {
    let stored = store::rooms::by_key(&home.db, room.key).await?;
    let stored = stored.ok_or_else(|| Refusal::not_found("The room is gone"))?;
    let ids: Vec<String> = stored.head.split(',').map(str::to_owned).collect();
    let newest = store::events::by_ids(&home.db, &ids).await?;
    let damaged = || Refusal::broken(format!("the head of room {} is damaged", room.room_id));
    let mut head = Head { extremities: Vec::new(), depth: 0, root: Root::EMPTY };
    for stored in newest {
        let root = Root::from_bytes(&stored.state_root).ok_or_else(damaged)?;
        let event = TimelineEvent::read(stored, room)?.event;
        if !head.extremities.is_empty() && head.root != root {
            // Only federation can fork a room, and it brings the resolution with it.
            return Err(damaged());
        }
        head.root = root;
        head.depth = head.depth.max(event.depth());
        head.extremities.push(event.event_id().to_owned());
    }
    if head.extremities.len() == ids.len() { Ok(head) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use ruma::EventId;

    use super::*;

    fn room(key: i64) -> Room {
        let room_id = RoomId::parse(format!("!{key}:hearth.test")).expect("a room id");
        Room::new(key, room_id, RoomVersionId::V11, &Weights::of(&config::Memory::default()))
            .expect("a supported version")
    }

    #[test]
    fn rooms_that_nobody_uses_make_room() {
        let memory = Memory::new(0, &config::Memory::default());
        let in_use: Vec<_> = (0..10).map(|key| memory.insert(room(key))).collect();
        for key in 10..i64::try_from(IDLE_ROOMS_MAX).expect("a small number") {
            memory.insert(room(key));
        }
        memory.make_room();
        assert_eq!(memory.by_id.len(), IDLE_ROOMS_MAX * 3 / 4);
        assert_eq!(memory.by_key.len(), memory.by_id.len());
        for room in in_use {
            let found = memory.by_id.get(&room.room_id).map(|found| Arc::ptr_eq(&found, &room));
            assert_eq!(found, Some(true), "{} is in use", room.room_id);
        }
    }

    #[test]
    fn rooms_of_many_users_make_room_sooner() {
        let budget = config::Memory { caches_mb: 16 };
        let memory = Memory::new(0, &budget);
        let filled = |key: i64| {
            let room_id = RoomId::parse(format!("!{key}:hearth.test")).expect("a room id");
            let room = Room::new(key, room_id, RoomVersionId::V11, &memory.weights).expect("a version");
            let user = |n: i64| UserId::parse(format!("@user{n}:hearth.test")).expect("a user id");
            (0..1_000).for_each(|n| room.set_joined_here(&user(n), true));
            memory.insert(room)
        };
        let in_use = filled(0);
        for key in 1..100 {
            memory.make_room();
            filled(key);
        }
        assert!(memory.weights.here.bytes() < budget.share(HERE_PERCENT) + 100_000);
        assert!((3..50).contains(&memory.by_id.len()), "{} are left", memory.by_id.len());
        assert!(memory.by_id.contains_key(&in_use.room_id));
    }

    #[test]
    fn what_is_forgotten_of_rooms_is_not_taken_for_nothing() {
        let memory = Memory::new(10, &config::Memory::default());
        let rooms = i64::try_from(CHANGED_ROOMS_MAX).expect("a small number");
        for room in 0..=rooms {
            memory.changed(room, 11 + room);
        }
        assert!(memory.last_change.len() <= CHANGED_ROOMS_MAX / 2 + 1);
        let changed = |since| memory.of_those_changed_after(since, [0, rooms / 4, rooms].into_iter());
        assert_eq!(changed(9), None, "that was before the start");
        assert_eq!(changed(11), None, "that was forgotten");
        assert_eq!(changed(11 + rooms / 2), Some(vec![rooms]));
        assert_eq!(changed(11 + rooms), Some(vec![]));
    }

    #[test]
    fn an_event_that_was_read_before_its_redaction_is_not_kept() {
        let memory = Memory::new(0, &config::Memory::default());
        let rules = room(1).rules;
        let event_id = EventId::parse("$event").expect("an event id");
        let event = |body: &str| {
            let json = format!(
                r#"{{"auth_events":[],"content":{{"body":"{body}"}},"depth":1,"origin_server_ts":1,"prev_events":[],
                "room_id":"!1:hearth.test","sender":"@a:hearth.test","type":"m.x"}}"#
            );
            Arc::new(Event::parse(event_id.clone(), json.into(), rules).expect("an event"))
        };
        let redactions = memory.redactions();
        memory.replace(&event(""));
        memory.keep(&event("secret"), redactions);
        let kept = memory.events.get(&event_id).expect("the redacted event");
        assert!(!kept.json_str().contains("secret"));
    }
}

//! How many events a user has not read that notify.
//!
//! Nothing is counted up when events are written: the numbers follow from up to where the user has read,
//! by a look at what came after. What a look found is kept, so that each event is judged once for each
//! member; a receipt throws it away.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use quick_cache::{Weighter, sync::Cache};
use rules::{
    authorization::membership_of,
    power_levels::PowerLevels,
    push::{EventForPush, RoomForPush},
};
use ruma::{
    OwnedUserId, UserId,
    events::room::member::MembershipState,
    push::{Action, Ruleset},
};
use store::members::Member;

use super::write;
use crate::{
    Home, config,
    receipts::thread_of,
    refusal::Answer,
    rooms::{Room, TimelineEvent, state, timeline},
    settings::{self, Settings},
};

/// Events that are judged for one count: who has more unread has «many».
const EVENTS_MAX: usize = 1_000;

/// Events that are looked at first, and then at once: mostly the newest of all is read already.
const PAGES: [usize; 2] = [10, 100];

/// What counts may take, in hundredths of all caches.
const PERCENT: u64 = 8;

/// Locks that the users share.
const LOCKS: usize = 64;

/// Counts of users in rooms.
pub struct Memory {
    kept: Cache<(OwnedUserId, i64), Arc<Unread>, ByBytes>,
    /// Count receipts, so that a number found before one is not kept after it.
    reads: Box<[Mutex<u64>]>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(OwnedUserId, i64), Arc<Unread>> for ByBytes {
    fn weight(&self, _: &(OwnedUserId, i64), unread: &Arc<Unread>) -> u64 {
        // A table has room for some before it has one.
        let table = |len: usize| if len == 0 { 0 } else { 500 + 150 * len };
        (250 + table(unread.by_thread.len()) + table(unread.reads.by_thread.len())) as u64
    }
}

impl Memory {
    /// Nothing is counted yet.
    pub(crate) fn new(budget: &config::Memory) -> Self {
        Memory {
            kept: Cache::with_weighter(16_384, budget.share(PERCENT), ByBytes),
            reads: (0..LOCKS).map(|_| Mutex::new(0)).collect(),
        }
    }

    /// Bytes that it takes.
    pub(crate) fn weight(&self) -> u64 {
        self.kept.weight()
    }

    /// Notes that `user` has read something in `room`. Called on the writer, before anybody can see it.
    pub fn read(&self, user: &UserId, room: i64) {
        let mut reads = self.reads_of(user).lock();
        *reads += 1;
        self.kept.remove(&(user.to_owned(), room));
    }

    /// Notes that what notifies `user` has changed. Called on the writer, before anybody can see it.
    pub fn judged_anew(&self, user: &UserId) {
        let mut reads = self.reads_of(user).lock();
        *reads += 1;
        self.kept.retain(|(of, _), _| of != user);
    }

    fn reads_of(&self, user: &UserId) -> &Mutex<u64> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        &self.reads[hasher.finish() as usize % LOCKS]
    }
}

/// How many events notify, and how many of them are highlighted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that notify.
    pub notify: u32,
    /// Those that are highlighted as well.
    pub highlight: u32,
}

/// What one user has not read in one room.
#[derive(Clone, Debug, Default)]
pub struct Unread {
    /// Up to this position everything is counted.
    upto: i64,
    reads: Reads,
    main: Counts,
    by_thread: BTreeMap<String, Counts>,
}

/// Up to where a user has read.
#[derive(Clone, Debug, Default)]
struct Reads {
    /// Whatever the thread is.
    everywhere: i64,
    main: i64,
    by_thread: HashMap<String, i64>,
}

impl Reads {
    async fn of(home: &Home, room: &Room, user: &UserId) -> Answer<Self> {
        let mut reads = Reads::default();
        for receipt in store::receipts::of_user(&home.db, room.key, user.as_str()).await? {
            let read = match &*receipt.thread_id {
                _ if receipt.receipt_type == "m.fully_read" => continue,
                "" => &mut reads.everywhere,
                "main" => &mut reads.main,
                thread => reads.by_thread.entry(thread.to_owned()).or_default(),
            };
            *read = receipt.event_pos.max(*read);
        }
        Ok(reads)
    }

    /// Whether the event at `pos` in `thread` is read.
    fn cover(&self, pos: i64, thread: Option<&str>) -> bool {
        let read = match thread {
            None => self.main,
            Some(thread) => self.by_thread.get(thread).copied().unwrap_or(0),
        };
        pos <= read.max(self.everywhere)
    }
}

/// What the user behind `member`, who is joined to `room`, has not read of it up to `upto`.
///
/// # Errors
/// If the database does not answer.
pub async fn counts(
    home: &Home,
    room: &Room,
    member: &Member,
    user: &UserId,
    upto: i64,
) -> Answer<Arc<Unread>> {
    let memory = &home.unread;
    let key = (user.to_owned(), room.key);
    let kept = memory.kept.get(&key);
    if let Some(kept) = kept.as_ref().filter(|kept| kept.upto == upto) {
        return Ok(kept.clone());
    }
    let reads_before = *memory.reads_of(user).lock();
    let (mut unread, newer) = match kept.filter(|kept| kept.upto < upto) {
        Some(kept) => {
            let newer = newer(home, room, kept.upto, upto).await?;
            ((*kept).clone(), newer)
        }
        None => anew(home, room, user, upto).await?,
    };
    unread.upto = upto;
    if !newer.is_empty() {
        let judge = Judge::of(home, room, member, user, upto).await?;
        for event in newer.iter().filter(|event| !event.hidden) {
            unread.add(home, room, event, &judge).await?;
        }
    }
    let unread = Arc::new(unread);
    let reads_after = memory.reads_of(user).lock();
    if *reads_after == reads_before {
        memory.kept.insert(key, unread.clone());
    }
    Ok(unread)
}

/// The events between two positions, oldest first; the newest if there are too many.
async fn newer(home: &Home, room: &Room, since: i64, upto: i64) -> Answer<Vec<Arc<TimelineEvent>>> {
    if let Some(events) = room.tail.between(since, upto) {
        return Ok(events);
    }
    let mut events = timeline::before(home, room, upto, EVENTS_MAX).await?;
    events.retain(|event| event.pos > since);
    events.reverse();
    Ok(events)
}

/// Begins to count: the events that the user has not read, oldest first.
async fn anew(
    home: &Home,
    room: &Room,
    user: &UserId,
    upto: i64,
) -> Answer<(Unread, Vec<Arc<TimelineEvent>>)> {
    let reads = Reads::of(home, room, user).await?;
    let mut unread: Vec<Arc<TimelineEvent>> = Vec::new();
    let mut cursor = upto;
    let pages = PAGES.into_iter().chain(std::iter::repeat(PAGES[1]));
    'scan: for count in pages {
        let page = timeline::before(home, room, cursor, count).await?;
        let is_last = page.len() < count;
        for event in page {
            let is_read = event.pos <= reads.everywhere || begins_stay(home, room, &event, user).await?;
            if is_read || unread.len() >= EVENTS_MAX {
                break 'scan;
            }
            cursor = event.pos - 1;
            unread.push(event);
        }
        if is_last {
            break;
        }
    }
    unread.reverse();
    Ok((Unread { reads, ..Unread::default() }, unread))
}

/// Whether `event` is that with which `user` came into the room, who has nothing to catch up with then.
pub(super) async fn begins_stay(
    home: &Home,
    room: &Room,
    event: &TimelineEvent,
    user: &UserId,
) -> Answer<bool> {
    let joins = |event: &TimelineEvent| membership_of(&event.event) == Ok(MembershipState::Join);
    if event.event.state_place() != Some(("m.room.member", user.as_str())) || !joins(event) {
        return Ok(false);
    }
    let Some(before) = &event.replaces else { return Ok(true) };
    let before = timeline::get(home, room, before).await?;
    // Who was joined before has only another name.
    Ok(before.is_none_or(|before| !joins(&before)))
}

/// What decides whether an event notifies a user.
pub(super) struct Judge<'a> {
    user: &'a UserId,
    settings: Arc<Settings>,
    levels: Option<PowerLevels>,
    member_count: u64,
    display_name: Option<&'a str>,
}

impl<'a> Judge<'a> {
    /// Of `user`, who stands in `room` as `member` says, by the state at the position `upto`.
    pub(super) async fn of(
        home: &Home,
        room: &Room,
        member: &'a Member,
        user: &'a UserId,
        upto: i64,
    ) -> Answer<Self> {
        let root = timeline::root_at(home, room, upto).await?;
        let levels = match state::event(home, room, root, "m.room.create", "").await? {
            Some(create) => {
                let levels = state::event(home, room, root, "m.room.power_levels", "").await?;
                PowerLevels::of(&create, levels.as_deref(), room.rules).ok()
            }
            None => None,
        };
        Ok(Judge {
            user,
            settings: settings::of(home, user).await?,
            levels,
            member_count: room.with_joined_here(|joined| joined.len() as u64),
            display_name: member.display_name.as_deref(),
        })
    }

    fn judge(&self, event: &TimelineEvent) -> Counts {
        let outcome = self.actions(event, None).map(rules::push::outcome).unwrap_or_default();
        Counts { notify: outcome.notify.into(), highlight: outcome.highlight.into() }
    }

    /// What is to be done about an event; `first` are rules that go before those for all clients.
    pub(super) fn actions<'r>(
        &'r self,
        event: &TimelineEvent,
        first: Option<&'r Ruleset>,
    ) -> Option<&'r [Action]> {
        let power_levels = self.levels.as_ref()?;
        if self.settings.hides(&event.event) {
            return None;
        }
        let room =
            RoomForPush { power_levels, member_count: self.member_count, display_name: self.display_name };
        let event = EventForPush::new(&event.event);
        let mut rules = first.into_iter().chain([&*self.settings.push_rules]);
        rules.find_map(|rules| rules::push::actions(rules, self.user, &event, &room))
    }
}

impl Unread {
    async fn add(
        &mut self,
        home: &Home,
        room: &Room,
        event: &TimelineEvent,
        judge: &Judge<'_>,
    ) -> Answer<()> {
        if event.event.sender() == judge.user {
            return self.add_own(home, room, event, judge.user).await;
        }
        let found = judge.judge(event);
        if found == Counts::default() {
            return Ok(());
        }
        let thread = thread_of(home, room, event).await?;
        if self.reads.cover(event.pos, thread.as_ref().map(|thread| thread.as_str())) {
            return Ok(());
        }
        let counts = match thread {
            None => &mut self.main,
            Some(thread) => self.by_thread.entry(thread.to_string()).or_default(),
        };
        counts.notify += found.notify;
        counts.highlight += found.highlight;
        Ok(())
    }

    /// Who speaks has read what was said before, in the thread that they speak in.
    async fn add_own(
        &mut self,
        home: &Home,
        room: &Room,
        event: &TimelineEvent,
        user: &UserId,
    ) -> Answer<()> {
        if begins_stay(home, room, event, user).await? {
            self.main = Counts::default();
            self.by_thread.clear();
            self.reads.everywhere = self.reads.everywhere.max(event.pos);
        } else if event.event.event_type() != "m.room.member" {
            match thread_of(home, room, event).await? {
                None => {
                    self.main = Counts::default();
                    self.reads.main = self.reads.main.max(event.pos);
                }
                Some(thread) => {
                    self.by_thread.remove(thread.as_str());
                    let read = self.reads.by_thread.entry(thread.to_string()).or_default();
                    *read = event.pos.max(*read);
                }
            }
        }
        Ok(())
    }

    /// Whether the user has read the event at `pos` in `thread`.
    pub(super) fn covers(&self, pos: i64, thread: Option<&str>) -> bool {
        self.reads.cover(pos, thread)
    }

    /// Of the whole room.
    pub fn total(&self) -> Counts {
        let all = self.by_thread.values().chain([&self.main]);
        all.fold(Counts::default(), |sum, counts| Counts {
            notify: sum.notify + counts.notify,
            highlight: sum.highlight + counts.highlight,
        })
    }

    /// Writes `,"unread_notifications":{…}`, and the threads beside it if they are wanted apart.
    pub(super) fn write(&self, out: &mut String, threads_apart: bool) {
        out.push_str(r#","unread_notifications":"#);
        if !threads_apart {
            return self.total().write(out);
        }
        self.main.write(out);
        out.push_str(r#","unread_thread_notifications":{"#);
        for (thread, counts) in &self.by_thread {
            write::comma(out);
            write::key(out, thread);
            counts.write(out);
        }
        out.push('}');
    }
}

impl Counts {
    fn write(self, out: &mut String) {
        out.push_str(r#"{"highlight_count":"#);
        write::number(out, self.highlight);
        out.push_str(r#","notification_count":"#);
        write::number(out, self.notify);
        out.push('}');
    }
}

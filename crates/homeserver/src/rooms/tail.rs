//! The newest events of each room, at hand for those who follow it.
//!
//! All tails together have a share of the memory for caches. Once it is used up, rooms in which
//! something happens keep a few events only, and rooms that nobody uses are let go of first.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use parking_lot::RwLock;
use rules::{event::Event, state_tree::Root, weight};
use ruma::EventId;

use super::TimelineEvent;

/// Events that a room keeps.
const EVENTS_MAX: usize = 64;

/// Events that a room keeps while all together keep too much.
const EVENTS_MIN: usize = 8;

/// What the ids beside an event take, about.
const IDS_BYTES: usize = 128;

/// What all things of one kind take, of those that rooms keep: all tails, say.
#[derive(Debug)]
pub(super) struct Weight {
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Weight {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Weight { bytes: AtomicU64::new(0), bytes_max })
    }

    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn take(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }

    /// Whether they take more than they may.
    pub(super) fn is_too_much(&self) -> bool {
        self.bytes.load(Relaxed) > self.bytes_max
    }
}

/// The newest events of a room.
pub(crate) struct Tail {
    newest: RwLock<Newest>,
    weight: Arc<Weight>,
}

#[derive(Default)]
struct Newest {
    /// Every event after this position is in `events`; `None` while nothing is known.
    since: Option<i64>,
    events: VecDeque<Arc<TimelineEvent>>,
}

impl Tail {
    /// Of a room in which nothing is known to have happened.
    pub(super) fn new(weight: Arc<Weight>) -> Self {
        Tail { newest: RwLock::default(), weight }
    }

    /// The events after `since` and at or before `upto`, oldest first; `None` if not all of them are at
    /// hand.
    pub(crate) fn between(&self, since: i64, upto: i64) -> Option<Vec<Arc<TimelineEvent>>> {
        let tail = self.newest.read();
        if tail.since.is_none_or(|from| from > since) {
            return None;
        }
        let events = tail.events.iter().rev().skip_while(|event| event.pos > upto);
        let mut events: Vec<_> = events.take_while(|event| event.pos > since).cloned().collect();
        events.reverse();
        Some(events)
    }

    /// The state after the newest event at or before `upto`, if that event is at hand.
    pub(super) fn root(&self, upto: i64) -> Option<Root> {
        self.newest.read().events.iter().rev().find(|event| event.pos <= upto).map(|event| event.root)
    }

    /// The `limit` newest events at or before `upto`, newest first, if so many are at hand.
    pub(super) fn before(&self, upto: i64, limit: usize) -> Option<Vec<Arc<TimelineEvent>>> {
        let tail = self.newest.read();
        if tail.events.len() < limit {
            return None;
        }
        let events = tail.events.iter().rev().skip_while(|event| event.pos > upto).take(limit).cloned();
        let events: Vec<_> = events.collect();
        (events.len() == limit).then_some(events)
    }

    /// Takes in what happened now.
    pub(super) fn push(&self, event: Arc<TimelineEvent>) {
        let mut tail = self.newest.write();
        tail.since.get_or_insert(event.pos - 1);
        self.weight.add(bytes(&event));
        tail.events.push_back(event);
        let events_max = if self.weight.is_too_much() { EVENTS_MIN } else { EVENTS_MAX };
        while tail.events.len() > events_max
            && let Some(oldest) = tail.events.pop_front()
        {
            self.weight.take(bytes(&oldest));
            tail.since = Some(oldest.pos);
        }
    }

    /// Puts the pruned event in the place of the one that was redacted.
    pub(super) fn redact(&self, pruned: &Arc<Event>, redaction: &EventId) {
        self.change(pruned.event_id(), |event| {
            event.event = pruned.clone();
            event.redacted_by.get_or_insert_with(|| redaction.to_owned());
        });
    }

    /// Notes that others point to an event in a way of which aggregations tell.
    pub(super) fn mark(&self, parent: &EventId) {
        self.change(parent, |event| event.has_children = true);
    }

    fn change(&self, event_id: &EventId, how: impl FnOnce(&mut TimelineEvent)) {
        let mut tail = self.newest.write();
        let Some(event) = tail.events.iter_mut().rev().find(|event| *event.event.event_id() == *event_id)
        else {
            return;
        };
        let mut changed = TimelineEvent::clone(event);
        how(&mut changed);
        self.weight.add(bytes(&changed));
        self.weight.take(bytes(event));
        *event = Arc::new(changed);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        let bytes = self.newest.get_mut().events.iter().map(|event| bytes(event)).sum();
        self.weight.take(bytes);
    }
}

/// What an event takes: as it is stored, and as clients get it.
fn bytes(event: &TimelineEvent) -> u64 {
    let written = weight::allocated(event.event.json().len());
    (weight::shared::<TimelineEvent>() + IDS_BYTES + event.event.weight() + written) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(pos: i64) -> Arc<TimelineEvent> {
        let json = r#"{"auth_events":[],"content":{},"depth":1,"origin_server_ts":1,"prev_events":[],
            "room_id":"!1:hearth.test","sender":"@a:hearth.test","type":"m.x"}"#;
        let rules = rules::versions::rules(&ruma::RoomVersionId::V11).expect("a supported version");
        let event_id = EventId::parse(format!("$event{pos}")).expect("an event id");
        Arc::new(TimelineEvent {
            pos,
            event: Arc::new(Event::parse(event_id, json.into(), rules).expect("an event")),
            root: Root::EMPTY,
            replaces: None,
            redacted_by: None,
            txn: None,
            hidden: false,
            has_children: false,
            written: Default::default(),
        })
    }

    fn filled(weight: &Arc<Weight>) -> Tail {
        let tail = Tail::new(weight.clone());
        (1..=100).for_each(|pos| tail.push(event(pos)));
        tail
    }

    #[test]
    fn a_tail_is_shorter_while_all_take_too_much() {
        for (bytes_max, kept) in [(u64::MAX, EVENTS_MAX), (0, EVENTS_MIN)] {
            let weight = Weight::new(bytes_max);
            let tail = filled(&weight);
            assert!(tail.before(100, kept).is_some() && tail.before(100, kept + 1).is_none());
            let oldest = 100 - i64::try_from(kept).expect("a small number");
            assert_eq!(tail.between(oldest, 100).map(|events| events.len()), Some(kept));
            assert!(tail.between(oldest - 1, 100).is_none());
        }
    }

    #[test]
    fn nothing_is_weighed_that_is_gone() {
        let weight = Weight::new(u64::MAX);
        let (one, other) = (filled(&weight), filled(&weight));
        let both = weight.bytes();
        one.mark(event(90).event.event_id());
        drop(one);
        assert_eq!(weight.bytes(), both / 2);
        drop(other);
        assert_eq!(weight.bytes(), 0);
    }
}

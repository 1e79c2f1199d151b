//! Events in their place: with the position, the state after them, and what surrounds them.

use std::sync::Arc;

use rules::{event::Event, state_tree::Root};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedTransactionId};
use store::events::StoredEvent;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{Room, show::Written},
};

/// An event where it stands in its room.
#[derive(Clone, Debug)]
pub struct TimelineEvent {
    /// Its position in the stream.
    pub pos: i64,
    /// The event.
    pub event: Arc<Event>,
    /// The state after it.
    pub root: Root,
    /// The state event whose place it took.
    pub replaces: Option<OwnedEventId>,
    /// The redaction that pruned it.
    pub redacted_by: Option<OwnedEventId>,
    /// The device that sent it, and with which transaction id.
    pub txn: Option<(OwnedDeviceId, OwnedTransactionId)>,
    /// Whether it is kept from clients: soft-failed or rejected.
    pub hidden: bool,
    /// Whether others point to it in a way of which aggregations tell.
    pub has_children: bool,
    /// What clients get of it, written once.
    pub(super) written: Written,
}

impl TimelineEvent {
    /// Reads what was stored of an event of `room`.
    ///
    /// # Errors
    /// A broken server if it is not an event after all.
    pub fn read(stored: StoredEvent, room: &Room) -> Answer<Self> {
        let damaged = || Refusal::broken(format!("the event {} is stored damaged", stored.event_id));
        let parse = |text: &str| EventId::parse(text).map_err(|_| damaged());
        let event_id = parse(&stored.event_id)?;
        let root = Root::from_bytes(&stored.state_root).ok_or_else(damaged)?;
        let event = Event::parse(event_id, stored.json.clone(), room.rules).map_err(|_| damaged())?;
        Ok(TimelineEvent {
            pos: stored.pos,
            event: Arc::new(event.with_rejected(stored.rejected)),
            root,
            replaces: stored.replaces.as_deref().map(parse).transpose()?,
            redacted_by: stored.redacted_by.as_deref().map(parse).transpose()?,
            txn: stored.txn_device.clone().map(Into::into).zip(stored.txn_id.clone().map(Into::into)),
            hidden: stored.soft_failed || stored.rejected,
            has_children: stored.has_children,
            written: Written::default(),
        })
    }
}

/// The event `event_id` of `room`, where it stands.
///
/// # Errors
/// If the database does not answer.
pub async fn get(home: &Home, room: &Room, event_id: &EventId) -> Answer<Option<TimelineEvent>> {
    let stored = store::events::by_id(&home.db, event_id.as_str()).await?;
    stored
        .filter(|stored| stored.room == room.key)
        .map(|stored| TimelineEvent::read(stored, room))
        .transpose()
}

/// Those of the events with these ids that are in `room`, in stream order; one query.
///
/// # Errors
/// If the database does not answer.
pub async fn by_ids(home: &Home, room: &Room, ids: &[OwnedEventId]) -> Answer<Vec<Arc<TimelineEvent>>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let stored = store::events::by_ids(&home.db, &ids).await?;
    read_all(stored.into_iter().filter(|stored| stored.room == room.key).collect(), room)
}

/// The events of `room` at or before `upto`, newest first, at most `limit`.
///
/// # Errors
/// If the database does not answer.
pub async fn before(home: &Home, room: &Room, upto: i64, limit: usize) -> Answer<Vec<Arc<TimelineEvent>>> {
    if let Some(events) = room.tail.before(upto, limit) {
        return Ok(events);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read_all(store::events::before(&home.db, room.key, upto, limit).await?, room)
}

/// The events of `room` after `since` and at or before `upto`, oldest first, at most `limit`.
///
/// # Errors
/// If the database does not answer.
pub async fn after(
    home: &Home,
    room: &Room,
    since: i64,
    upto: i64,
    limit: usize,
) -> Answer<Vec<Arc<TimelineEvent>>> {
    if let Some(mut events) = room.tail.between(since, upto) {
        events.truncate(limit);
        return Ok(events);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    read_all(store::events::after(&home.db, room.key, since, upto, limit).await?, room)
}

/// The events of `room` at these positions, in stream order.
///
/// # Errors
/// If the database does not answer.
pub async fn at(home: &Home, room: &Room, positions: &[i64]) -> Answer<Vec<Arc<TimelineEvent>>> {
    let stored = store::events::at(&home.db, positions).await?;
    read_all(stored.into_iter().filter(|stored| stored.room == room.key).collect(), room)
}

/// Reads events of `room`, in the same order.
///
/// # Errors
/// A broken server if one is not an event after all.
pub(super) fn read_all(stored: Vec<StoredEvent>, room: &Room) -> Answer<Vec<Arc<TimelineEvent>>> {
    stored.into_iter().map(|stored| TimelineEvent::read(stored, room).map(Arc::new)).collect()
}

/// The state of `room` at the position `upto`: after the newest event at or before it. Empty before the
/// room began.
///
/// # Errors
/// If the database does not answer.
pub async fn root_at(home: &Home, room: &Room, upto: i64) -> Answer<Root> {
    if let Some(root) = room.tail.root(upto) {
        return Ok(root);
    }
    let Some(bytes) = store::events::root_at(&home.db, room.key, upto).await? else {
        return Ok(Root::EMPTY);
    };
    let damaged = || Refusal::broken(format!("a state of {} is stored damaged", room.room_id));
    Root::from_bytes(&bytes).ok_or_else(damaged)
}

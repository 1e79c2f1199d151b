//! Events in their place: with the position, the state after them, and what surrounds them.

use std::sync::Arc;

use rules::{event::Event, state_tree::Root};
use ruma::{EventId, OwnedDeviceId, OwnedEventId, OwnedTransactionId};
use store::events::StoredEvent;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::Room,
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

//! Our events as ruma's state resolution wants them, to compare with it.

use std::sync::Arc;

use rules::event::Event;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, events::TimelineEventType, state_res};
use serde_json::value::RawValue;

#[derive(Debug, Clone)]
pub(crate) struct AsRuma {
    event: Arc<Event>,
    event_id: OwnedEventId,
    event_type: TimelineEventType,
}

impl From<Arc<Event>> for AsRuma {
    fn from(event: Arc<Event>) -> Self {
        Self { event_id: event.event_id().to_owned(), event_type: event.event_type().into(), event }
    }
}

impl state_res::Event for AsRuma {
    type Id = OwnedEventId;

    fn event_id(&self) -> &OwnedEventId {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.event.names_room().then_some(self.event.room_id())
    }

    fn sender(&self) -> &UserId {
        self.event.sender()
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.event.origin_server_ts()
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.event_type
    }

    fn content(&self) -> &RawValue {
        self.event.content()
    }

    fn state_key(&self) -> Option<&str> {
        self.event.state_key()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.event.prev_events().iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &OwnedEventId> + '_> {
        Box::new(self.event.auth_events().iter())
    }

    fn redacts(&self) -> Option<&OwnedEventId> {
        None
    }

    fn rejected(&self) -> bool {
        self.event.rejected()
    }
}

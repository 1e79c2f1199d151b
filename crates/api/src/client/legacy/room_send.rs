//! `room_send.yaml` of v1, and redactions: without a transaction id, as today they can not be asked for.

use homeserver::{
    Answer, Home,
    rooms::{redact, send},
};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use crate::{answer::Json, caller::DeviceOrGuest, client::room_send::sent, plain::Plain};

/// `POST /_matrix/client/api/v1/rooms/{roomId}/send/{eventType}`
pub async fn post(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_type: String = ask.path(1)?;
    let content = rules::canonical::canonical_object(&ask.body)?;
    sent(send::send(&home, &who, &room_id, &event_type, content, None).await?)
}

#[derive(Deserialize)]
struct Redaction {
    reason: Option<String>,
}

/// `POST /_matrix/client/api/v1/rooms/{roomId}/redact/{eventId}`
pub async fn redact(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_id: OwnedEventId = ask.path(1)?;
    let Redaction { reason } = ask.json()?;
    sent(redact::redact(&home, &who, &room_id, &event_id, None, reason).await?)
}

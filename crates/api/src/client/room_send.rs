//! Sending events: messages, state and redactions.

use homeserver::{
    Answer, Home,
    rooms::{self, delayed_events::Wish, redact, send, set_state},
};
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::json;

use super::delayed_events;
use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};
use ruma::api::client::redact::redact_event::v3 as redact_event;

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`
///
/// Sends a message event; later, if `org.matrix.msc4140.delay` says so. Asked again with the same `txnId`,
/// answers with the same event.
// By hand: ruma's type takes some unstable event types for their stable ones.
pub async fn send(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let (event_type, txn_id): (String, String) = (ask.path(1)?, ask.path(2)?);
    let content = rules::canonical::canonical_object(&ask.body)?;
    if let Some(delay_ms) = delayed_events::delay_ms(&ask)? {
        let txn = Some(format!("send/{room_id}/{event_type}/{txn_id}"));
        let wish = Wish { room_id, event_type, state_key: None, content, delay_ms, txn };
        return delayed_events::keep(&home, &who, wish).await;
    }
    sent(send::send(&home, &who, &room_id, &event_type, content, Some(txn_id.into())).await?)
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// Sets a state event; later, if `org.matrix.msc4140.delay` says so. Without a state key in the path it is
/// the empty one.
pub async fn set_state(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_type: String = ask.path(1)?;
    let state_key = ask.path.get(2).map(String::as_str).unwrap_or_default();
    let content = rules::canonical::canonical_object(&ask.body)?;
    if let Some(delay_ms) = delayed_events::delay_ms(&ask)? {
        let state_key = Some(state_key.to_owned());
        let wish = Wish { room_id, event_type, state_key, content, delay_ms, txn: None };
        return delayed_events::keep(&home, &who, wish).await;
    }
    let room = rooms::find(&home, &room_id).await?;
    sent(set_state::set_state(&home, &who, &room, (&event_type, state_key), content).await?)
}

/// The answer that names an event.
pub(super) fn sent(event_id: OwnedEventId) -> Answer<Json> {
    Json::of(&json!({ "event_id": event_id }))
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`
pub async fn redact(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: redact_event::Request,
) -> Answer<redact_event::Response> {
    let (room_id, event_id) = (&ask.room_id, &ask.event_id);
    let redaction = redact::redact(&home, &who, room_id, event_id, Some(ask.txn_id), ask.reason).await?;
    Ok(redact_event::Response::new(redaction))
}

//! `room_send.yaml` of v1, and redactions without a transaction id, as today they can not be asked for.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{redact, send},
};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, OwnedEventId, OwnedRoomId};
use serde::Deserialize;

use crate::{answer::Json, caller::DeviceOrGuest, client::room_send::sent, plain::Plain};

/// `POST /_matrix/client/api/v1/rooms/{roomId}/send/{eventType}`, `PUT …/send/{eventType}/{txnId}`
pub async fn send(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_type: String = ask.path(1)?;
    let txn_id = ask.path.get(2).map(|txn_id| txn_id.as_str().into());
    let content = rules::canonical::canonical_object(&ask.body)?;
    must_be_whole(&event_type, &content)?;
    sent(send::send(&home, &who, &room_id, &event_type, content, txn_id).await?)
}

/// Refuses messages that nobody could show, and feedback of no known kind, as servers of 2015 did
/// (`instant_messaging.rst`). Those of today let clients say what they will.
///
/// # Errors
/// `M_BAD_JSON`
fn must_be_whole(event_type: &str, content: &CanonicalJsonObject) -> Answer<()> {
    let text = |key: &str| content.get(key).and_then(CanonicalJsonValue::as_str);
    let (whole, message) = match event_type {
        "m.room.message" => {
            (text("msgtype").is_some() && text("body").is_some(), "A message has a `msgtype` and a `body`")
        }
        "m.room.message.feedback" => (
            matches!(text("type"), Some("delivered" | "read")) && text("target_event_id").is_some(),
            "Feedback has a `target_event_id`, and the `type` delivered or read",
        ),
        _ => return Ok(()),
    };
    if whole { Ok(()) } else { Err(Refusal::bad_json(message)) }
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

//! Receipts and read markers: `/_matrix/client/v3/rooms/{roomId}/receipt/…`,
//! `/_matrix/client/v3/rooms/{roomId}/read_markers`

use homeserver::{
    Answer, Home, Refusal,
    receipts::{self, Kind},
};
use ruma::{OwnedEventId, OwnedRoomId};
use serde_json::{Map, Value};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `POST /_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}`
pub async fn send(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let kind = Kind::read(ask.path.get(1).map(String::as_str).unwrap_or_default())?;
    let event_id: OwnedEventId = ask.path(2)?;
    let body: Map<String, Value> = ask.json()?;
    let thread_id = match body.get("thread_id") {
        // matrix-nio writes `null` where it means nothing.
        None | Some(Value::Null) => None,
        Some(Value::String(thread_id)) if !thread_id.is_empty() => Some(thread_id.as_str()),
        Some(_) => return Err(Refusal::invalid_param("`thread_id` must be text, and not empty")),
    };
    receipts::send(&home, &who, &room_id, kind, &event_id, thread_id).await?;
    Json::of(&serde_json::json!({}))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/read_markers`
pub async fn markers(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let body: Map<String, Value> = ask.json()?;
    let mut wanted = Vec::new();
    for kind in [Kind::FullyRead, Kind::Read, Kind::ReadPrivate] {
        match body.get(kind.as_str()) {
            None | Some(Value::Null) => {}
            Some(Value::String(event_id)) => {
                let event_id = OwnedEventId::try_from(event_id.as_str());
                wanted.push((kind, event_id.map_err(|_| wrong(kind))?));
            }
            Some(_) => return Err(wrong(kind)),
        }
    }
    for (kind, event_id) in wanted {
        receipts::send(&home, &who, &room_id, kind, &event_id, None).await?;
    }
    Json::of(&serde_json::json!({}))
}

fn wrong(kind: Kind) -> Refusal {
    Refusal::bad_json(format!("`{}` must be the id of an event", kind.as_str()))
}

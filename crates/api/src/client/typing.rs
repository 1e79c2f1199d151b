//! `PUT /_matrix/client/v3/rooms/{roomId}/typing/{userId}`

use std::time::Duration;

use homeserver::{Answer, Home, typing};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

#[derive(Deserialize)]
struct Body {
    typing: bool,
    #[serde(rename = "timeout")]
    timeout_ms: Option<u64>,
}

/// Notes that a user types, or not any more.
pub async fn put(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    who.may_act()?;
    let (room_id, user_id): (OwnedRoomId, OwnedUserId) = (ask.path(0)?, ask.path(1)?);
    let body: Body = ask.json()?;
    let time = body.timeout_ms.map_or(typing::TYPING_DEFAULT, Duration::from_millis);
    typing::set(&home, &who, &room_id, &user_id, body.typing.then_some(time)).await?;
    Json::of(&serde_json::json!({}))
}

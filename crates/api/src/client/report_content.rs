//! Reporting content to the administrator of the server.

use homeserver::{Answer, Home, Refusal, reports, who::Device};
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

#[derive(Deserialize)]
struct Body {
    reason: Option<String>,
}

impl Body {
    /// May be blank, but must be there.
    fn reason(self) -> Answer<String> {
        self.reason.ok_or_else(|| Refusal::missing_param("`reason` is missing; it may be blank"))
    }
}

/// `POST /_matrix/client/v3/rooms/{roomId}/report/{eventId}`
pub async fn event(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let (room_id, event_id): (OwnedRoomId, OwnedEventId) = (ask.path(0)?, ask.path(1)?);
    let body: Body = ask.json()?;
    reports::event(&home, &who, &room_id, &event_id, body.reason).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/rooms/{roomId}/report`
pub async fn room(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    reports::room(&home, &who, &room_id, ask.json::<Body>()?.reason()?).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/users/{userId}/report`
pub async fn user(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    reports::user(&home, &who, &user_id, ask.json::<Body>()?.reason()?).await?;
    Json::of(&json!({}))
}

//! `/_matrix/client/v3/presence/{userId}/status`

use homeserver::{Answer, Home, Refusal, presence};
use ruma::{OwnedUserId, presence::PresenceState};
use serde::Deserialize;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

#[derive(Deserialize)]
struct Body {
    presence: String,
    status_msg: Option<String>,
}

/// `GET /_matrix/client/v3/presence/{userId}/status`
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    Json::of(&presence::get(&home, &who, &user_id).await?)
}

/// `PUT /_matrix/client/v3/presence/{userId}/status`
pub async fn put(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    who.may_act()?;
    let user_id: OwnedUserId = ask.path(0)?;
    let body: Body = ask.json()?;
    let state = match &*body.presence {
        state @ ("online" | "unavailable" | "offline") => PresenceState::from(state),
        _ => return Err(Refusal::bad_json("`presence` must be online, unavailable or offline")),
    };
    presence::set(&home, &who, &user_id, state, body.status_msg).await?;
    Json::of(&serde_json::json!({}))
}

//! `presence.yaml` of v1.

use homeserver::{Answer, Home, Refusal, presence};
use ruma::{OwnedUserId, presence::PresenceState};
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

#[derive(Deserialize)]
struct Status {
    presence: String,
    status_msg: Option<String>,
}

/// `GET /_matrix/client/api/v1/presence/{userId}/status`
pub async fn status(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    Json::of(&presence::status(&home, &who, &user_id).await?)
}

/// `PUT /_matrix/client/api/v1/presence/{userId}/status`
pub async fn set_status(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    who.may_act()?;
    let user_id: OwnedUserId = ask.path(0)?;
    let body: Status = ask.json()?;
    let state = match &*body.presence {
        state @ ("online" | "unavailable" | "offline" | presence::FREE_FOR_CHAT) => {
            PresenceState::from(state)
        }
        _ => {
            let message = "`presence` must be online, unavailable, offline or free_for_chat";
            return Err(Refusal::bad_json(message));
        }
    };
    presence::set(&home, &who, &user_id, state, body.status_msg).await?;
    Json::of(&json!({}))
}

#[derive(Deserialize)]
struct Diff {
    #[serde(default)]
    invite: Vec<OwnedUserId>,
    #[serde(default)]
    drop: Vec<OwnedUserId>,
}

/// `GET /_matrix/client/api/v1/presence/list/{userId}`
pub async fn list(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    Json::of(&presence::of_list(&home, &who, &user_id).await?)
}

/// `POST /_matrix/client/api/v1/presence/list/{userId}`
pub async fn change_list(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    let Diff { invite, drop } = ask.json()?;
    presence::change_list(&home, &who, &user_id, invite, drop).await?;
    Json::of(&json!({}))
}

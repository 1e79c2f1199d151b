//! `create_room.yaml` of v1.

use homeserver::{Answer, Home, rooms::create, who::Device};
use ruma::{RoomVersionId, api::client::room::create_room::v3};
use serde_json::json;

use crate::answer::Json;

/// The last room version whose create event still names the `creator`.
const VERSION: RoomVersionId = RoomVersionId::V10;

/// `POST /_matrix/client/api/v1/createRoom`
///
/// The room can be read by clients of 2015, unless they ask for a version by name.
pub async fn create(home: Home, who: Device, mut ask: v3::Request) -> Answer<Json> {
    ask.room_version.get_or_insert(VERSION);
    let alias = ask.room_alias_name.as_ref().map(|name| format!("#{name}:{}", home.server_name()));
    let mut reply = json!({ "room_id": create::create(&home, &who, ask).await? });
    if let Some(alias) = alias {
        reply["room_alias"] = alias.into();
    }
    Json::of(&reply)
}

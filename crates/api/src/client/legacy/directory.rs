//! `directory.yaml` of v1: as today, and the room is told which aliases it has.

use homeserver::{Answer, Home, directory::aliases, who::Device};
use ruma::api::client::alias::{create_alias, delete_alias};
use serde_json::json;

use crate::answer::Json;

/// `PUT /_matrix/client/api/v1/directory/room/{roomAlias}`
pub async fn add_alias(home: Home, who: Device, ask: create_alias::v3::Request) -> Answer<Json> {
    aliases::add(&home, &who, &ask.room_alias, &ask.room_id).await?;
    aliases::announce(&home, &who, &ask.room_id).await?;
    Json::of(&json!({}))
}

/// `DELETE /_matrix/client/api/v1/directory/room/{roomAlias}`
pub async fn remove_alias(home: Home, who: Device, ask: delete_alias::v3::Request) -> Answer<Json> {
    let room_id = aliases::resolve(&home, &ask.room_alias).await?;
    aliases::remove(&home, &who, &ask.room_alias).await?;
    aliases::announce(&home, &who, &room_id).await?;
    Json::of(&json!({}))
}

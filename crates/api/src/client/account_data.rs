//! Account data and tags: `/_matrix/client/v3/user/{userId}/…`

use homeserver::{
    Answer, Home,
    account_data::{self, Of},
};
use ruma::{OwnedRoomId, OwnedUserId};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The placeholder number `index` of a path, which may be any text.
fn text(ask: &Plain, index: usize) -> &str {
    ask.path.get(index).map(String::as_str).unwrap_or_default()
}

fn done() -> Answer<Json> {
    Json::of(&serde_json::json!({}))
}

/// `GET /_matrix/client/v3/user/{userId}/account_data/{type}`
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    let content = account_data::get(&home, &who, &user_id, Of::Account, text(&ask, 1)).await?;
    Ok(Json(content.into()))
}

/// `PUT /_matrix/client/v3/user/{userId}/account_data/{type}`
pub async fn put(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    account_data::set(&home, &who, &user_id, Of::Account, text(&ask, 1), &ask.body).await?;
    done()
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
pub async fn get_of_room(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user_id, room_id): (OwnedUserId, OwnedRoomId) = (ask.path(0)?, ask.path(1)?);
    let content = account_data::get(&home, &who, &user_id, Of::Room(&room_id), text(&ask, 2)).await?;
    Ok(Json(content.into()))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/account_data/{type}`
pub async fn put_of_room(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user_id, room_id): (OwnedUserId, OwnedRoomId) = (ask.path(0)?, ask.path(1)?);
    account_data::set(&home, &who, &user_id, Of::Room(&room_id), text(&ask, 2), &ask.body).await?;
    done()
}

/// `GET /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags`
pub async fn tags(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user_id, room_id): (OwnedUserId, OwnedRoomId) = (ask.path(0)?, ask.path(1)?);
    let tags = account_data::tags(&home, &who, &user_id, &room_id).await?;
    Json::of(&serde_json::json!({ "tags": tags }))
}

/// `PUT /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
pub async fn put_tag(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user_id, room_id): (OwnedUserId, OwnedRoomId) = (ask.path(0)?, ask.path(1)?);
    let content = Some(ask.json()?);
    account_data::set_tag(&home, &who, &user_id, &room_id, text(&ask, 2), content).await?;
    done()
}

/// `DELETE /_matrix/client/v3/user/{userId}/rooms/{roomId}/tags/{tag}`
pub async fn delete_tag(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user_id, room_id): (OwnedUserId, OwnedRoomId) = (ask.path(0)?, ask.path(1)?);
    account_data::set_tag(&home, &who, &user_id, &room_id, text(&ask, 2), None).await?;
    done()
}

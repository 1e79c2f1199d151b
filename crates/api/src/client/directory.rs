//! `/_matrix/client/v3/directory/…`: aliases, and which rooms are listed.

use homeserver::{
    Answer, Home, Refusal,
    directory::{aliases, public_rooms},
    who::{Anyone, Device},
};
use ruma::{
    OwnedRoomId,
    api::client::{
        alias::{create_alias, delete_alias, get_alias},
        directory::get_room_visibility,
        room::{Visibility, aliases as room_aliases},
    },
};
use serde_json::json;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The paths of a room's place in the list.
pub const LIST_PATHS: [&str; 2] =
    ["/_matrix/client/r0/directory/list/room/{room_id}", "/_matrix/client/v3/directory/list/room/{room_id}"];

/// `GET /_matrix/client/v3/directory/room/{roomAlias}`
pub async fn get_alias(
    home: Home,
    _: Anyone,
    ask: get_alias::v3::Request,
) -> Answer<get_alias::v3::Response> {
    let room_id = aliases::resolve(&home, &ask.room_alias).await?;
    Ok(get_alias::v3::Response::new(room_id, vec![home.owned_server_name()]))
}

/// `PUT /_matrix/client/v3/directory/room/{roomAlias}`
pub async fn add_alias(
    home: Home,
    who: Device,
    ask: create_alias::v3::Request,
) -> Answer<create_alias::v3::Response> {
    aliases::add(&home, &who, &ask.room_alias, &ask.room_id).await?;
    Ok(create_alias::v3::Response::new())
}

/// `DELETE /_matrix/client/v3/directory/room/{roomAlias}`
pub async fn remove_alias(
    home: Home,
    who: Device,
    ask: delete_alias::v3::Request,
) -> Answer<delete_alias::v3::Response> {
    aliases::remove(&home, &who, &ask.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}

/// `GET /_matrix/client/v3/rooms/{roomId}/aliases`
pub async fn room_aliases(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: room_aliases::v3::Request,
) -> Answer<room_aliases::v3::Response> {
    Ok(room_aliases::v3::Response::new(aliases::of_room(&home, &who, &ask.room_id).await?))
}

/// `GET /_matrix/client/v3/directory/list/room/{roomId}`
pub async fn is_listed(
    home: Home,
    _: Anyone,
    ask: get_room_visibility::v3::Request,
) -> Answer<get_room_visibility::v3::Response> {
    let listed = public_rooms::is_listed(&home, &ask.room_id).await?;
    let visibility = if listed { Visibility::Public } else { Visibility::Private };
    Ok(get_room_visibility::v3::Response::new(visibility))
}

/// `PUT /_matrix/client/v3/directory/list/room/{roomId}`: without a `visibility` the room is listed.
pub async fn list(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let public = match ask.json::<serde_json::Value>()?.get("visibility") {
        None => true,
        Some(given) if given == "public" => true,
        Some(given) if given == "private" => false,
        Some(_) => return Err(Refusal::invalid_param("`visibility` is public or private")),
    };
    public_rooms::list(&home, &who, &room_id, public).await?;
    Json::of(&json!({}))
}

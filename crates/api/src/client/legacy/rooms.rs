//! `rooms.yaml` of v1: the state of a room, who is in it, and a snapshot of it. The last is part of today's
//! specification, too (`room_initial_sync.yaml`).

use homeserver::{
    Answer, Home,
    rooms::{
        initial_sync,
        read_state::{self, Wanted},
        show::{Form, Format},
    },
    sync,
    who::Device,
};
use ruma::OwnedRoomId;

use super::{number, refused::bad_pagination};
use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `GET /_matrix/client/api/v1/rooms/{roomId}/state/{eventType}/{stateKey}`: the content.
pub async fn state_event(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_type: String = ask.path(1)?;
    let state_key = ask.path.get(2).map(String::as_str).unwrap_or_default();
    let place = (&*event_type, state_key);
    Ok(Json(read_state::one(&home, &who, &room_id, place, false).await?.into()))
}

/// `GET /_matrix/client/api/v1/rooms/{roomId}/state`
pub async fn state(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    Ok(Json(read_state::all(&home, &who, &room_id, Form::v1(Some(who.device()))).await?.into()))
}

/// `GET /_matrix/client/api/v1/rooms/{roomId}/members`
pub async fn members(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let form = Form::v1(Some(who.device()));
    Ok(Json(read_state::members(&home, &who, &room_id, Wanted::default(), form).await?.into()))
}

/// `GET /_matrix/client/api/v1/rooms/{roomId}/initialSync`
pub async fn initial_sync_v1(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let limit = number(&ask, "limit").map_err(bad_pagination)?;
    initial_sync(&home, &who, &ask, limit, Format::V1).await
}

/// `GET /_matrix/client/v3/rooms/{roomId}/initialSync`
pub async fn initial_sync_v3(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let limit = number(&ask, "limit")?;
    initial_sync(&home, &who, &ask, limit, Format::Client).await
}

async fn initial_sync(
    home: &Home,
    who: &Device,
    ask: &Plain,
    limit: Option<usize>,
    format: Format,
) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let limit = limit.unwrap_or(initial_sync::EVENTS_DEFAULT);
    Ok(Json(sync::initial_of_room(home, who, &room_id, limit, format).await?.into()))
}

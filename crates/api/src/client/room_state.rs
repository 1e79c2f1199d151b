//! Reading the state of a room, and who is in it.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        read_state::{self, Wanted},
        show::Form,
    },
    who::Device,
};
use ruma::OwnedRoomId;
use serde_json::json;

use crate::{answer::Json, caller::DeviceOrGuest, client::messages, plain::Plain};

/// `GET /_matrix/client/v3/rooms/{roomId}/state`
pub async fn all(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    Ok(Json(read_state::all(&home, &who, &room_id, Form::whole(Some(who.device()))).await?.into()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`
///
/// The content of one state event, or with `format=event` the event; without a state key in the path
/// it is the empty one.
pub async fn one(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let event_type: String = ask.path(1)?;
    let state_key = ask.path.get(2).map(String::as_str).unwrap_or_default();
    let whole = match ask.query("format") {
        None | Some("content") => false,
        Some("event") => true,
        Some(_) => return Err(Refusal::invalid_param("`format` is content or event")),
    };
    let place = (&*event_type, state_key);
    Ok(Json(read_state::one(&home, &who, &room_id, place, whole).await?.into()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/members`
pub async fn members(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let wanted = Wanted {
        at: messages::token(ask.query("at"))?.map(|token| token.pos),
        membership: ask.query("membership").map(Into::into),
        not_membership: ask.query("not_membership").map(Into::into),
    };
    let form = Form::whole(Some(who.device()));
    Ok(Json(read_state::members(&home, &who, &room_id, wanted, form).await?.into()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
pub async fn joined_members(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    Ok(Json(read_state::joined_members(&home, &who, &room_id).await?.into()))
}

/// `GET /_matrix/client/v3/joined_rooms`
pub async fn joined_rooms(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({ "joined_rooms": read_state::joined_rooms(&home, &who).await? }))
}

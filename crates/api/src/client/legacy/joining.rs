//! `joining.yaml` of v1.

use homeserver::{
    Answer, Home,
    rooms::membership::{self, Move},
};
use ruma::OwnedRoomOrAliasId;
use serde_json::json;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `POST /_matrix/client/api/v1/rooms/{roomId}/join`, and `/join/{roomIdOrAlias}`: either takes either.
pub async fn join(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room: OwnedRoomOrAliasId = ask.path(0)?;
    let room = membership::find(&home, &room).await?;
    membership::change_as(&home, &who, &room, Move::Join, who.user(), None).await?;
    Json::of(&json!({ "room_id": room.room_id }))
}

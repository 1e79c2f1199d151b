//! `leaving.yaml` of v1, and «Banning users in a room».

use homeserver::{
    Answer, Home,
    rooms::{
        self, Txn,
        membership::{self, Aside, Move},
    },
    who::Device,
};
use ruma::api::client::membership::{ban_user, leave_room};
use serde_json::json;

use super::once::Once;
use crate::{answer::Json, caller::DeviceOrGuest};

/// `POST /_matrix/client/api/v1/rooms/{roomId}/leave`, `PUT …/leave/{txnId}`
pub async fn leave(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    Once { ask, txn_id }: Once<leave_room::v3::Request>,
) -> Answer<Json> {
    let room = rooms::find(&home, &ask.room_id).await?;
    let txn = Txn::of(&who, format!("leave/{}", ask.room_id), txn_id);
    let aside = Aside { reason: ask.reason, txn };
    membership::change_as(&home, &who, &room, Move::Leave, who.user(), aside).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/api/v1/rooms/{roomId}/ban`, `PUT …/ban/{txnId}`
pub async fn ban(home: Home, who: Device, Once { ask, txn_id }: Once<ban_user::v3::Request>) -> Answer<Json> {
    let room = rooms::find(&home, &ask.room_id).await?;
    let txn = Txn::of(&who, format!("ban/{}", ask.room_id), txn_id);
    let aside = Aside { reason: ask.reason, txn };
    membership::change_as(&home, &who, &room, Move::Ban, &ask.user_id, aside).await?;
    Json::of(&json!({}))
}

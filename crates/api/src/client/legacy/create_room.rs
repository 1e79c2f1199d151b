//! `create_room.yaml` of v1.

use homeserver::{
    Answer, Home, Refusal,
    directory::aliases::ALIASES,
    rooms::{Txn, create},
    who::Device,
};
use ruma::{RoomVersionId, api::client::room::create_room::v3, serde::Raw};
use serde_json::json;

use super::once::Once;
use crate::answer::Json;

/// The last room version whose create event still names the `creator`.
const VERSION: RoomVersionId = RoomVersionId::V10;

/// `POST /_matrix/client/api/v1/createRoom`, `PUT …/createRoom/{txnId}`
///
/// The room can be read by clients of 2015, unless they ask for a version by name.
pub async fn create(home: Home, who: Device, Once { mut ask, txn_id }: Once<v3::Request>) -> Answer<Json> {
    ask.room_version.get_or_insert(VERSION);
    let alias = ask.room_alias_name.as_ref().map(|name| format!("#{name}:{}", home.server_name()));
    if let Some(alias) = &alias {
        // The server tells the room itself what leads to it.
        let content = json!({ "aliases": [alias] });
        let event = json!({ "type": ALIASES, "state_key": home.server_name(), "content": content });
        let malformed = |error: serde_json::Error| Refusal::broken(error.to_string());
        ask.initial_state.push(Raw::from_json(serde_json::value::to_raw_value(&event).map_err(malformed)?));
    }
    let txn = Txn::of(&who, "createRoom".to_owned(), txn_id);
    let mut reply = json!({ "room_id": create::create(&home, &who, ask, txn).await? });
    if let Some(alias) = alias {
        reply["room_alias"] = alias.into();
    }
    Json::of(&reply)
}

//! `inviting.yaml` and `third_party_membership.yaml` of v1: two forms of one endpoint.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        self, Txn,
        membership::{self, Aside, Move},
        third_party,
    },
    who::Device,
};
use ruma::{OwnedRoomId, OwnedUserId, api::client::membership::Invite3pidInit};
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

#[derive(Deserialize)]
struct Body {
    user_id: Option<OwnedUserId>,
    id_server: Option<String>,
    medium: Option<String>,
    address: Option<String>,
    /// Identity servers ask for one today; those of 2015 did not.
    #[serde(default)]
    id_access_token: String,
}

/// `POST /_matrix/client/api/v1/rooms/{roomId}/invite`, `PUT …/invite/{txnId}`
pub async fn invite(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let body: Body = ask.json()?;
    let room = rooms::find(&home, &room_id).await?;
    let txn =
        Txn::of(&who, format!("invite/{room_id}"), ask.path.get(1).map(|txn_id| txn_id.as_str().into()));
    match (body.user_id, body.id_server, body.medium, body.address) {
        (Some(user), ..) => {
            membership::change_as(&home, &who, &room, Move::Invite, &user, Aside { reason: None, txn })
                .await?;
        }
        (None, Some(id_server), Some(medium), Some(address)) => {
            let id_access_token = body.id_access_token;
            let invited = Invite3pidInit { id_server, id_access_token, medium: medium.into(), address };
            third_party::invite(&home, &who, &room, &invited.into(), txn).await?;
        }
        _ => {
            let message = "The body has a `user_id`, or `id_server`, `medium` and `address`";
            return Err(Refusal::missing_param(message));
        }
    }
    Json::of(&json!({}))
}

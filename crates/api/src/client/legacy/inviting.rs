//! `inviting.yaml` and `third_party_membership.yaml` of v1: two forms of one endpoint.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        self,
        membership::{self, Move},
    },
    who::Device,
};
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

#[derive(Deserialize)]
struct Body {
    user_id: Option<OwnedUserId>,
    id_server: Option<String>,
    medium: Option<String>,
    address: Option<String>,
}

/// `POST /_matrix/client/api/v1/rooms/{roomId}/invite`
pub async fn invite(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let body: Body = ask.json()?;
    let Some(user) = body.user_id else {
        return Err(match (body.id_server, body.medium, body.address) {
            (Some(_), Some(_), Some(_)) => {
                Refusal::forbidden("This server does not invite by third-party identifiers")
            }
            _ => Refusal::missing_param("The body has a `user_id`, or `id_server`, `medium` and `address`"),
        });
    };
    let room = rooms::find(&home, &room_id).await?;
    membership::change_as(&home, &who, &room, Move::Invite, &user, None).await?;
    Json::of(&json!({}))
}

//! `POST /_matrix/client/v3/rooms/{roomId}/upgrade`

use homeserver::{
    Answer, Home,
    rooms::{self, upgrade},
    who::Device,
};
use ruma::api::client::room::upgrade_room::v3;

/// Puts a room of another version in the place of a room.
pub async fn upgrade(home: Home, who: Device, ask: v3::Request) -> Answer<v3::Response> {
    let room = rooms::find(&home, &ask.room_id).await?;
    let new = upgrade::upgrade(&home, &who, &room, &ask.new_version, ask.additional_creators).await?;
    Ok(v3::Response::new(new))
}

//! `POST /_matrix/client/v3/createRoom`

use homeserver::{Answer, Home, rooms::create, who::Device};
use ruma::api::client::room::create_room::v3;

/// Creates a room.
pub async fn create(home: Home, who: Device, ask: v3::Request) -> Answer<v3::Response> {
    Ok(v3::Response::new(create::create(&home, &who, ask, None).await?))
}

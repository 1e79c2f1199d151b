//! `GET /_matrix/client/v2_alpha/sync`

use axum::response::Response;
use homeserver::{
    Answer, Home,
    sync::{self, Filter},
};

use crate::{
    caller::DeviceOrGuest,
    client::sync::{read, respond},
    plain::Plain,
};

/// What happened since the client's last sync, in the shape of 2015.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Response> {
    let filter = Filter::read(&home, &who, ask.query("filter")).await?;
    respond(sync::v2_alpha(&home, &who, read(&ask, filter)?).await?).await
}

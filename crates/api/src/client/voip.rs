//! `GET /_matrix/client/v3/voip/turnServer`

use homeserver::{Answer, Home, who::Device};
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/v3/voip/turnServer`: this server knows of none, so there is nothing to tell.
pub async fn turn_server(_: Home, _: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({}))
}

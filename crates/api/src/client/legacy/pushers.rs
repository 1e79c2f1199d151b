//! `pusher.yaml` of v1.

use homeserver::{
    Answer, Home,
    pushers::{self, Form},
    who::Device,
};
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `POST /_matrix/client/api/v1/pushers/set`
pub async fn set(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    pushers::set(&home, &who, Form::Of2015, ask.json()?).await?;
    Json::of(&json!({}))
}

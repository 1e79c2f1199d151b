//! Push notifications: `/_matrix/client/v3/pushers`

use homeserver::{
    Answer, Home,
    pushers::{self, Form},
    who::Device,
};
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/v3/pushers`
pub async fn list(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({ "pushers": pushers::list(&home, who.user()).await? }))
}

/// `POST /_matrix/client/v3/pushers/set`
pub async fn set(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    pushers::set(&home, &who, Form::Today, ask.json()?).await?;
    Json::of(&json!({}))
}

//! Push notifications: `/_matrix/client/v3/pushrules/…`, `/_matrix/client/v3/pushers`

use homeserver::{Answer, Home, push, who::Device};
use ruma::api::client::push::get_pushers;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/v3/pushrules/`
pub async fn all_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    let rules = push::rules(&home, who.user()).await?;
    Json::of(&json!({ "global": push::global(&rules) }))
}

/// `GET /_matrix/client/v3/pushrules/global/`
pub async fn global_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&push::global(&*push::rules(&home, who.user()).await?))
}

/// `GET /_matrix/client/v3/pushers`: nobody can have one yet.
pub async fn pushers(_: Home, _: Device, _: get_pushers::v3::Request) -> Answer<get_pushers::v3::Response> {
    Ok(get_pushers::v3::Response::new(Vec::new()))
}

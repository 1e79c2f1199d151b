//! Push notifications: `/_matrix/client/v3/pushrules/…`, `/_matrix/client/v3/pushers`

use homeserver::{Answer, Home, Refusal, push, who::Device};
use ruma::api::client::push::get_pushers;
use serde_json::{Value, json};

use crate::{answer::Json, plain::Plain};

/// The kinds of push rules.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// `GET /_matrix/client/v3/pushrules/`
pub async fn all_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({ "global": rules(&home, &who).await? }))
}

/// `GET /_matrix/client/v3/pushrules/global/`
pub async fn global_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&rules(&home, &who).await?)
}

/// All kinds, those without a rule too: not every client takes their absence well.
async fn rules(home: &Home, who: &Device) -> Answer<Value> {
    let rules = serde_json::to_value(push::rules(home, who).await?);
    let mut rules =
        rules.map_err(|error| Refusal::broken(format!("push rules can not be written: {error}")))?;
    for kind in KINDS {
        if rules.get(kind).is_none() {
            rules[kind] = json!([]);
        }
    }
    Ok(rules)
}

/// `GET /_matrix/client/v3/pushers`: nobody can have one yet.
pub async fn pushers(_: Home, _: Device, _: get_pushers::v3::Request) -> Answer<get_pushers::v3::Response> {
    Ok(get_pushers::v3::Response::new(Vec::new()))
}

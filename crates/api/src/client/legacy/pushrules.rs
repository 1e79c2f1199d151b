//! `pushrules.yaml` of v1: rules may be meant for the clients with one profile tag (`device/<profile_tag>`).

use homeserver::{Answer, Home, Refusal, push, who::Device};
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, client::push::name, plain::Plain};

/// `GET /_matrix/client/api/v1/pushrules/`
pub async fn all(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&push::by_scope(&home, who.user()).await?)
}

/// `GET /_matrix/client/api/v1/pushrules/device/`
pub async fn of_devices(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&push::by_scope(&home, who.user()).await?["device"])
}

/// `GET /_matrix/client/api/v1/pushrules/device/{profileTag}/`
pub async fn of_device(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let tag: String = ask.path(0)?;
    let rules = push::by_scope(&home, who.user()).await?;
    let unknown = || Refusal::not_found("There are no push rules for that profile tag");
    Json::of(rules["device"].get(&tag).ok_or_else(unknown)?)
}

/// The document has the body `true` or `false`; the clients of its time sent it in an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum Enabled {
    Plain(bool),
    Named { enabled: bool },
}

/// `PUT /_matrix/client/api/v1/pushrules/{scope}/{kind}/{ruleId}/enabled`
pub async fn set_enabled(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let (Enabled::Plain(enabled) | Enabled::Named { enabled }) = ask.json()?;
    push::set_enabled(&home, &who, &name(&ask)?, enabled).await?;
    Json::of(&json!({}))
}

//! `/_matrix/client/v3/profile/{userId}` and its fields.

use std::collections::BTreeMap;

use homeserver::{Answer, Home, Refusal, profiles, who::Anyone};
use ruma::OwnedUserId;
use serde_json::{json, value::RawValue};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The paths of a whole profile.
pub const PATHS: [&str; 2] = ["/_matrix/client/r0/profile/{user_id}", "/_matrix/client/v3/profile/{user_id}"];

/// The paths of a field. Before v1.16 there were `displayname` and `avatar_url`.
pub const FIELD_PATHS: [&str; 3] = [
    "/_matrix/client/r0/profile/{user_id}/{field}",
    "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{user_id}/{field}",
    "/_matrix/client/v3/profile/{user_id}/{field}",
];

/// `GET /_matrix/client/v3/profile/{userId}`
pub async fn get(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let user: OwnedUserId = ask.path(0)?;
    Json::of(&profiles::get(&home, &user).await?)
}

/// `GET /_matrix/client/v3/profile/{userId}/{keyName}`
pub async fn get_field(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let (user, field): (OwnedUserId, String) = (ask.path(0)?, ask.path(1)?);
    Json::of(&BTreeMap::from([(&field, profiles::field(&home, &user, &field).await?)]))
}

/// `PUT /_matrix/client/v3/profile/{userId}/{keyName}`
pub async fn set_field(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user, field): (OwnedUserId, String) = (ask.path(0)?, ask.path(1)?);
    let mut body: BTreeMap<String, Box<RawValue>> = ask.json()?;
    let missing = || Refusal::missing_param(format!("The body has no `{field}`"));
    let value = body.remove(&field).ok_or_else(missing)?;
    profiles::set(&home, &who, &user, &field, &value).await?;
    Json::of(&json!({}))
}

/// `DELETE /_matrix/client/v3/profile/{userId}/{keyName}`
pub async fn remove_field(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (user, field): (OwnedUserId, String) = (ask.path(0)?, ask.path(1)?);
    profiles::remove(&home, &who, &user, &field).await?;
    Json::of(&json!({}))
}

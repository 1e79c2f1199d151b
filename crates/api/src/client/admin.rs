//! `/_matrix/client/v1/admin/…`, `/_matrix/client/v3/admin/whois`, `/_synapse/admin/v1/register`

use homeserver::{
    Answer, Home, Refusal,
    accounts::{
        admin::{self, Measure},
        devices,
        register::Registered,
        shared_secret,
    },
    who::{Anyone, Device},
};
use ruma::OwnedUserId;
use serde_json::{Map, Value, json};

use crate::{answer::Json, caller::Administrator, client::session::tokens, plain::Plain};

/// `GET /_matrix/client/v1/admin/lock/{userId}`: whether an account is locked.
pub async fn get_lock(home: Home, who: Administrator, ask: Plain) -> Answer<Json> {
    get(&home, &who, &ask, Measure::Lock, "locked").await
}

/// `PUT /_matrix/client/v1/admin/lock/{userId}`: locks or unlocks an account.
pub async fn put_lock(home: Home, _: Administrator, ask: Plain) -> Answer<Json> {
    put(&home, &ask, Measure::Lock, "locked").await
}

/// `GET /_matrix/client/v1/admin/suspend/{userId}`: whether an account is suspended.
pub async fn get_suspend(home: Home, who: Administrator, ask: Plain) -> Answer<Json> {
    get(&home, &who, &ask, Measure::Suspend, "suspended").await
}

/// `PUT /_matrix/client/v1/admin/suspend/{userId}`: suspends an account, or ends that.
pub async fn put_suspend(home: Home, _: Administrator, ask: Plain) -> Answer<Json> {
    put(&home, &ask, Measure::Suspend, "suspended").await
}

async fn get(home: &Home, who: &Administrator, ask: &Plain, measure: Measure, key: &str) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    let on = admin::in_force(home, &who.0, &user_id, measure).await?;
    Json::of(&json!({ key: on }))
}

async fn put(home: &Home, ask: &Plain, measure: Measure, key: &str) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    let body: Map<String, Value> = ask.json()?;
    let on = match body.get(key) {
        Some(Value::Bool(on)) => *on,
        Some(_) => return Err(Refusal::bad_json(format!("{key} is true or false"))),
        None => return Err(Refusal::missing_param(format!("{key} is missing"))),
    };
    admin::put(home, &user_id, measure, on).await?;
    Json::of(&json!({ key: on }))
}

/// `GET /_matrix/client/v3/admin/whois/{userId}`: where the devices of a user were seen last. Users
/// may ask about themselves, administrators about everybody.
pub async fn whois(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    if user_id != who.user_id && !who.admin {
        return Err(Refusal::forbidden("Only administrators of this server can ask about others"));
    }
    let mut devices = Map::new();
    for device in devices::list(&home, &user_id).await? {
        let connection = json!({ "ip": device.last_seen_ip, "last_seen": device.last_seen_ts });
        let seen = device.last_seen_ts.is_some().then_some(connection);
        let connections: Vec<_> = seen.into_iter().collect();
        devices.insert(device.device_id, json!({ "sessions": [{ "connections": connections }] }));
    }
    Json::of(&json!({ "user_id": user_id, "devices": devices }))
}

/// `GET /_synapse/admin/v1/register`: a nonce for whoever knows the shared secret.
pub async fn nonce(home: Home, _: Anyone, _: Plain) -> Answer<Json> {
    Json::of(&json!({ "nonce": shared_secret::nonce(&home)? }))
}

/// `POST /_synapse/admin/v1/register`: makes an account for whoever knows the shared secret.
pub async fn register(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let Registered { user_id, session } = shared_secret::register(&home, &ask.json()?).await?;
    let mut reply = json!({ "user_id": user_id, "home_server": home.server_name() });
    if let Some(session) = session {
        tokens(&mut reply, &session);
    }
    Json::of(&reply)
}

//! `/_matrix/client/v3/{devices,delete_devices}`

use homeserver::{
    Answer, Home,
    accounts::{devices, own},
    who::Device,
};
use ruma::OwnedDeviceId;
use serde_json::{Value, json};
use store::devices::DeviceRow;

use crate::{answer::Json, interactive::Interactive, plain::Plain};

/// `GET /_matrix/client/v3/devices`: all devices of the user.
pub async fn list(home: Home, who: Device, _: Plain) -> Answer<Json> {
    let devices = devices::list(&home, who.user()).await?;
    Json::of(&json!({ "devices": devices.iter().map(device).collect::<Vec<_>>() }))
}

/// `GET /_matrix/client/v3/devices/{deviceId}`
pub async fn get(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let device_id: OwnedDeviceId = ask.path[0].as_str().into();
    Json::of(&device(&devices::get(&home, who.user(), &device_id).await?))
}

#[derive(serde::Deserialize)]
struct Update {
    display_name: Option<String>,
}

/// `PUT /_matrix/client/v3/devices/{deviceId}`: calls a device something.
pub async fn put(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let device_id: OwnedDeviceId = ask.path[0].as_str().into();
    let update: Update = ask.json()?;
    devices::rename(&home, who.user(), &device_id, update.display_name.as_deref()).await?;
    Json::of(&json!({}))
}

/// `DELETE /_matrix/client/v3/devices/{deviceId}`: ends a device.
pub async fn delete(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    own::delete_device(&home, &who, &ask.plain.path[0], ask.ask()).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/delete_devices`: ends devices.
pub async fn delete_many(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    own::delete_devices(&home, &who, ask.ask()).await?;
    Json::of(&json!({}))
}

fn device(row: &DeviceRow) -> Value {
    let mut device = json!({ "device_id": row.device_id });
    if let Some(display_name) = &row.display_name {
        device["display_name"] = display_name.as_str().into();
    }
    if let Some(last_seen_ts) = row.last_seen_ts {
        device["last_seen_ts"] = last_seen_ts.into();
    }
    if let Some(last_seen_ip) = &row.last_seen_ip {
        device["last_seen_ip"] = last_seen_ip.as_str().into();
    }
    device
}

//! `GET /_matrix/client/v3/capabilities`

use homeserver::{Answer, Home, rooms::delayed_events, threepids, who::Kind};
use rules::versions;
use serde_json::{Map, Value, json};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `GET /_matrix/client/v3/capabilities`: what whoever asks can do here.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, _: Plain) -> Answer<Json> {
    let stable = |version: &ruma::RoomVersionId| (version.to_string(), Value::from("stable"));
    let available: Map<String, Value> = versions::SUPPORTED.iter().map(stable).collect();
    let user = json!({ "enabled": who.kind == Kind::User });
    let named = json!({ "enabled": who.kind != Kind::Guest });
    let mut capabilities = json!({
        "m.room_versions": { "default": home.config.default_room_version, "available": available },
        "m.change_password": user,
        "m.get_login_token": user,
        "m.profile_fields": named,
        "m.set_displayname": named,
        "m.set_avatar_url": named,
        "m.3pid_changes": { "enabled": threepids::own::can_change(&home, &who) },
        "org.matrix.msc4140.delayed_events": {
            "max_delay_ms": delayed_events::DELAY_MS_MAX,
            "max_scheduled": delayed_events::SCHEDULED_MAX,
        },
        "m.forget_forced_upon_leave": { "enabled": false },
    });
    if who.admin {
        capabilities["m.account_moderation"] = json!({ "lock": true, "suspend": true });
    }
    Json::of(&json!({ "capabilities": capabilities }))
}

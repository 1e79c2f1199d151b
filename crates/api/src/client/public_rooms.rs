//! `/_matrix/client/v3/publicRooms`

use homeserver::{
    Answer, Home, Refusal,
    directory::public_rooms::{self, Ask, Page},
    rooms::summary::Summary,
    who::Anyone,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The paths of the list.
pub const PATHS: [&str; 2] = ["/_matrix/client/r0/publicRooms", "/_matrix/client/v3/publicRooms"];

/// `GET /_matrix/client/v3/publicRooms`
pub async fn get(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    is_ours(&home, &ask)?;
    let limit = ask.query("limit").map(str::parse).transpose();
    let limit = limit.map_err(|_| Refusal::invalid_param("`limit` is a number"))?;
    let since = ask.query("since").map(str::parse).transpose()?;
    page(&home, Ask { limit, since, ..Ask::default() }).await
}

#[derive(Deserialize)]
struct Wanted {
    limit: Option<usize>,
    since: Option<String>,
    filter: Option<Filter>,
    include_all_networks: Option<bool>,
    third_party_instance_id: Option<String>,
}

#[derive(Default, Deserialize)]
struct Filter {
    generic_search_term: Option<String>,
    room_types: Option<Vec<Option<String>>>,
}

/// `POST /_matrix/client/v3/publicRooms`
pub async fn search(home: Home, DeviceOrGuest(_): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    is_ours(&home, &ask)?;
    let wanted: Wanted = ask.json()?;
    let elsewhere = wanted.third_party_instance_id.is_some_and(|network| !network.is_empty());
    if elsewhere && wanted.include_all_networks != Some(true) {
        // No bridge brings rooms into this list.
        return Json::of(&json!({ "chunk": [], "total_room_count_estimate": 0 }));
    }
    let Filter { generic_search_term, room_types } = wanted.filter.unwrap_or_default();
    let since = wanted.since.as_deref().map(str::parse).transpose()?;
    page(&home, Ask { limit: wanted.limit, since, search: generic_search_term, room_types }).await
}

/// Refuses to ask another server.
fn is_ours(home: &Home, ask: &Plain) -> Answer<()> {
    match ask.query("server") {
        Some(server) if server != home.server_name() => {
            Err(Refusal::not_found("This server can not ask others for their rooms"))
        }
        _ => Ok(()),
    }
}

async fn page(home: &Home, ask: Ask) -> Answer<Json> {
    let Page { entries, next, previous, total } = public_rooms::page(home, &ask).await?;
    let chunk: Vec<Value> =
        entries.iter().map(|room| entry(&room.room_id, room.joined, &room.summary)).collect();
    let mut reply = json!({ "chunk": chunk, "total_room_count_estimate": total });
    if let Some(next) = next {
        reply["next_batch"] = next.to_string().into();
    }
    if let Some(previous) = previous {
        reply["prev_batch"] = previous.to_string().into();
    }
    Json::of(&reply)
}

/// What everybody may know of a room, as JSON.
pub(super) fn entry(room_id: &str, joined: i64, summary: &Summary) -> Value {
    let mut json = json!({
        "room_id": room_id,
        "num_joined_members": joined,
        "world_readable": summary.world_readable,
        "guest_can_join": summary.guest_can_join,
        "join_rule": summary.join_rule,
    });
    let texts = [
        ("name", &summary.name),
        ("topic", &summary.topic),
        ("avatar_url", &summary.avatar_url),
        ("canonical_alias", &summary.canonical_alias),
        ("room_type", &summary.room_type),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            json[key] = text.as_str().into();
        }
    }
    json
}

//! Rooms as they show themselves to who is not in them: summaries, and the rooms of a space.

use homeserver::{
    Answer, Home, Refusal,
    directory::{
        previews::{self, Preview},
        spaces::{self, Branch},
    },
};
use ruma::{OwnedRoomId, OwnedRoomOrAliasId};
use serde_json::{Value, json};

use super::public_rooms;
use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The paths of a summary.
pub const PATHS: [&str; 2] = [
    "/_matrix/client/unstable/im.nheko.summary/rooms/{room_id_or_alias}/summary",
    "/_matrix/client/v1/room_summary/{room_id_or_alias}",
];

/// The path of the rooms of a space.
pub const HIERARCHY_PATH: &str = "/_matrix/client/v1/rooms/{room_id}/hierarchy";

/// `GET /_matrix/client/v1/room_summary/{roomIdOrAlias}`
pub async fn get(home: Home, who: Option<DeviceOrGuest>, ask: Plain) -> Answer<Json> {
    let room: OwnedRoomOrAliasId = ask.path(0)?;
    let user = who.as_ref().map(|DeviceOrGuest(who)| who.user());
    let preview = previews::of(&home, user, &room).await?;
    let mut reply = summary(&preview);
    if let Some(membership) = &preview.membership {
        reply["membership"] = membership.as_str().into();
    }
    Json::of(&reply)
}

/// `GET /_matrix/client/v1/rooms/{roomId}/hierarchy`
pub async fn hierarchy(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let number = |name: &str| {
        let number = ask.query(name).map(str::parse::<usize>).transpose();
        number.map_err(|_| Refusal::invalid_param(format!("`{name}` is a number")))
    };
    let suggested_only = match ask.query("suggested_only") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid_param("`suggested_only` is true or false")),
    };
    let from = ask.query("from").map(str::parse).transpose()?;
    let wanted =
        spaces::Ask { suggested_only, limit: number("limit")?, max_depth: number("max_depth")?, from };
    if wanted.limit == Some(0) {
        return Err(Refusal::invalid_param("`limit` is greater than zero"));
    }
    let page = spaces::page(&home, &who, &room_id, &wanted).await?;
    let rooms = page.rooms.iter().map(branch).collect::<Answer<Vec<Value>>>()?;
    let mut reply = json!({ "rooms": rooms });
    if let Some(next) = page.next {
        reply["next_batch"] = next.to_string().into();
    }
    Json::of(&reply)
}

fn branch(branch: &Branch) -> Answer<Value> {
    let mut json = summary(&branch.preview);
    let child = |event: &std::sync::Arc<rules::event::Event>| {
        Ok(json!({
            "type": event.event_type(),
            "state_key": event.state_key(),
            "sender": event.sender(),
            "content": event.content_as::<Value>()?,
            "origin_server_ts": event.origin_server_ts(),
        }))
    };
    let children = branch.children.iter().map(child).collect::<Answer<Vec<Value>>>()?;
    json["children_state"] = children.into();
    Ok(json)
}

/// The entry of the list of public rooms, and what a summary has besides.
fn summary(preview: &Preview) -> Value {
    let Preview { listed, summary, .. } = preview;
    let mut json = public_rooms::entry(&listed.room_id, listed.joined, summary);
    json["room_version"] = summary.room_version.as_str().into();
    if let Some(encryption) = &summary.encryption {
        json["encryption"] = encryption.as_str().into();
    }
    if summary.join_rule.ends_with("restricted") {
        json["allowed_room_ids"] = json!(summary.allowed_room_ids);
    }
    json
}

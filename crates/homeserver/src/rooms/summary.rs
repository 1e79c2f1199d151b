//! What a room tells about itself to who is not in it: name, topic, who may join.
//!
//! Read from a few places of the state, never from the members. Kept in memory by the head of the
//! room, for a redaction changes what an event says and leaves the state as it is.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use rules::{event::Event, state_tree::Root};
use ruma::{OwnedEventId, OwnedRoomId, RoomId, RoomVersionId};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use store::public_rooms::Listed;

use super::{Room, memory, state};
use crate::{
    Home, config,
    refusal::{Answer, Refusal},
};

/// What summaries may take, in hundredths of all caches.
const PERCENT: u64 = 4;

/// Rooms whose members a restricted room admits, in a summary.
const ALLOWED_ROOMS_MAX: usize = 64;

/// What the state of a room says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// `m.room.name`
    pub name: Option<String>,
    /// `m.room.topic`, as plain text.
    pub topic: Option<String>,
    /// `m.room.avatar`
    pub avatar_url: Option<String>,
    /// `m.room.canonical_alias`
    pub canonical_alias: Option<String>,
    /// `m.room.join_rules`
    pub join_rule: String,
    /// The rooms whose members may join, by the same.
    pub allowed_room_ids: Vec<OwnedRoomId>,
    /// Whether everybody may read along.
    pub world_readable: bool,
    /// Whether guests may join.
    pub guest_can_join: bool,
    /// The `type` of `m.room.create`.
    pub room_type: Option<String>,
    /// The algorithm of `m.room.encryption`.
    pub encryption: Option<String>,
    /// The room version.
    pub room_version: String,
}

impl Summary {
    /// Bytes of text in it.
    pub fn text_bytes(&self) -> usize {
        let texts = [&self.name, &self.topic, &self.avatar_url, &self.canonical_alias, &self.room_type];
        texts.into_iter().flatten().map(String::len).sum::<usize>() + self.join_rule.len()
    }

    /// Whether anybody may know of the room who names it.
    pub fn is_open(&self) -> bool {
        self.world_readable || matches!(&*self.join_rule, "public" | "knock" | "knock_restricted")
    }
}

/// Summaries in memory, each with the head of the room that it was made from.
pub struct Summaries(Cache<i64, Arc<(String, Arc<Summary>)>, ByBytes>);

#[derive(Clone)]
struct ByBytes;

impl Weighter<i64, Arc<(String, Arc<Summary>)>> for ByBytes {
    fn weight(&self, _: &i64, kept: &Arc<(String, Arc<Summary>)>) -> u64 {
        (500 + kept.0.len() + kept.1.text_bytes()) as u64
    }
}

impl Summaries {
    pub(super) fn new(budget: &config::Memory) -> Self {
        Summaries(Cache::with_weighter(8_192, budget.share(PERCENT), ByBytes))
    }

    pub(super) fn weight(&self) -> u64 {
        self.0.weight()
    }
}

/// What `listed` tells about itself.
///
/// # Errors
/// If the database does not answer.
pub async fn of(home: &Home, listed: &Listed) -> Answer<Arc<Summary>> {
    if let Some(kept) = home.rooms.summaries.0.get(&listed.room)
        && kept.0 == listed.head
    {
        return Ok(kept.1.clone());
    }
    let (room, root) = open(home, listed).await?;
    let summary = Arc::new(read(home, &room, root).await?);
    home.rooms.summaries.0.insert(listed.room, Arc::new((listed.head.clone(), summary.clone())));
    Ok(summary)
}

/// The room itself, for who reads its present state and nothing else. It is not brought into memory: that
/// would read the members.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn open(home: &Home, listed: &Listed) -> Answer<(Room, Root)> {
    let damaged = |_| Refusal::broken(format!("the room {} is stored with a malformed id", listed.room_id));
    let room_id = RoomId::parse(&*listed.room_id).map_err(damaged)?;
    let version = RoomVersionId::try_from(&*listed.version).map_err(damaged)?;
    let room = Room::new(listed.room, room_id, version, &home.rooms.weights)?;
    let root = match listed.state_root.as_deref().and_then(Root::from_bytes) {
        Some(root) => root,
        None => memory::read_head(home, &room).await?.root,
    };
    Ok((room, root))
}

/// The places of the state that a summary is made from.
const PLACES: [&str; 9] = [
    "m.room.create",
    "m.room.name",
    "m.room.topic",
    "m.room.avatar",
    "m.room.canonical_alias",
    "m.room.join_rules",
    "m.room.history_visibility",
    "m.room.guest_access",
    "m.room.encryption",
];

/// What the state `root` of `room` says about it.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn read(home: &Home, room: &Room, root: Root) -> Answer<Summary> {
    let mut ids: Vec<OwnedEventId> = Vec::with_capacity(PLACES.len());
    for place in PLACES {
        ids.extend(state::get(home, root, place, "").await?);
    }
    let events = state::events_by_id(home, room, &ids).await?;
    let find =
        |event_type: &str| events.iter().find(|event| event.event_type() == event_type).map(Arc::as_ref);
    let text = |event_type: &str, key: &str| find(event_type).and_then(|event| text(event, key));
    let join_rules: JoinRules = find("m.room.join_rules").and_then(content).unwrap_or_default();
    let allowed = join_rules.allow.into_iter().take(ALLOWED_ROOMS_MAX);
    Ok(Summary {
        name: text("m.room.name", "name"),
        topic: find("m.room.topic").and_then(topic),
        avatar_url: text("m.room.avatar", "url"),
        canonical_alias: text("m.room.canonical_alias", "alias"),
        join_rule: join_rules.join_rule.unwrap_or_else(|| "invite".to_owned()),
        allowed_room_ids: allowed.filter_map(allowed_room).collect(),
        world_readable: text("m.room.history_visibility", "history_visibility").as_deref()
            == Some("world_readable"),
        guest_can_join: text("m.room.guest_access", "guest_access").as_deref() == Some("can_join"),
        room_type: text("m.room.create", "type"),
        encryption: text("m.room.encryption", "algorithm"),
        room_version: room.version.to_string(),
    })
}

#[derive(Default, Deserialize)]
struct JoinRules {
    join_rule: Option<String>,
    #[serde(default)]
    allow: Vec<Value>,
}

fn allowed_room(allow: Value) -> Option<OwnedRoomId> {
    let room = allow.get("room_id").and_then(Value::as_str)?;
    (allow.get("type")? == "m.room_membership").then(|| RoomId::parse(room).ok()).flatten()
}

fn content<T: DeserializeOwned>(event: &Event) -> Option<T> {
    event.content_as::<Value>().ok().and_then(|content| serde_json::from_value(content).ok())
}

/// The text at `key`; empty text says as little as none.
fn text(event: &Event, key: &str) -> Option<String> {
    let content: Value = event.content_as().ok()?;
    content.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The plain text of a topic: of `m.topic`, if it has some, else `topic`.
fn topic(event: &Event) -> Option<String> {
    let content: Value = event.content_as().ok()?;
    let representations = content.get("m.topic").and_then(|topic| topic.get("m.text")?.as_array());
    let plain = representations
        .into_iter()
        .flatten()
        .find(|text| text.get("mimetype").is_none_or(|mimetype| mimetype == "text/plain"));
    let plain = plain.and_then(|text| text.get("body")?.as_str()).map(str::to_owned);
    plain.filter(|body| !body.is_empty()).or_else(|| text(event, "topic"))
}

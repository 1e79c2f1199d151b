//! `list_public_rooms.yaml` of v1.

use homeserver::{
    Answer, Home,
    directory::public_rooms::{self, Ask, Entry, Since},
    who::Anyone,
};
use serde_json::{Value, json};

use super::{number, refused::bad_pagination};
use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/api/v1/publicRooms`
pub async fn get(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let since: Option<Since> = ask.query("from").map(str::parse).transpose().map_err(bad_pagination)?;
    let limit = number(&ask, "limit").map_err(bad_pagination)?;
    let page = public_rooms::page(&home, &Ask { limit, since, ..Ask::default() }).await?;
    let start = since.unwrap_or(Since::BEGINNING);
    let end = page.next.or(page.entries.last().map(Entry::behind)).unwrap_or(start);
    let chunk: Vec<Value> = page.entries.iter().map(entry).collect();
    Json::of(&json!({ "start": start.to_string(), "end": end.to_string(), "chunk": chunk }))
}

/// A room of the list. Of its aliases everybody may know that by which it is to be known.
fn entry(room: &Entry) -> Value {
    let summary = &room.summary;
    json!({
        "room_id": room.room_id,
        "aliases": summary.canonical_alias.iter().collect::<Vec<_>>(),
        "name": summary.name,
        "topic": summary.topic,
        "num_joined_members": room.joined,
        "world_readable": summary.world_readable,
        "guest_can_join": summary.guest_can_join,
    })
}

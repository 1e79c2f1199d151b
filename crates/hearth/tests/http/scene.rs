//! Rooms in which something happened, made without the endpoints that other tests are about.

use std::time::Duration;

use homeserver::{
    accounts,
    rooms::{self, Chain, Intent},
    who::Kind,
};
use ruma::{CanonicalJsonObject, RoomId, RoomVersionId, UserId};
use serde_json::{Value, json};

use crate::harness::{Reply, SERVER_NAME, Server, User, encode};

/// A room.
pub struct Scene<'a> {
    /// The server it is on.
    pub server: &'a Server,
    /// Its id.
    pub room_id: String,
    /// Who made it.
    pub creator: User,
}

/// The content of an event, in the form that events are made of.
pub fn content(value: &Value) -> CanonicalJsonObject {
    rules::canonical::canonical_object(value.to_string().as_bytes()).expect("canonical content")
}

impl<'a> Scene<'a> {
    /// A public room of `creator`; `history` is its history visibility, if it has one.
    pub async fn new(server: &'a Server, creator: &User, history: Option<&str>) -> Self {
        // A room is named after its create event: two at the same time would be one.
        server.pass(Duration::from_millis(1));
        let mut chain = Chain::new_room(&server.home, &RoomVersionId::V12, None).expect("version 12");
        let user = &*creator.user_id;
        let mut state = vec![
            ("m.room.create", "", json!({ "room_version": "12" })),
            ("m.room.member", user.as_str(), json!({ "membership": "join" })),
            ("m.room.power_levels", "", json!({})),
            ("m.room.join_rules", "", json!({ "join_rule": "public" })),
        ];
        if let Some(history) = history {
            state.push(("m.room.history_visibility", "", json!({ "history_visibility": history })));
        }
        for (event_type, state_key, value) in state {
            let intent = Intent::state(user, event_type, state_key, content(&value));
            chain.push(intent).await.expect("an event of a new room");
        }
        let room = chain.commit().await.expect("a new room").expect("a room");
        Scene { server, room_id: room.room_id.to_string(), creator: creator.clone() }
    }

    async fn append(&self, intent: Intent) -> String {
        let room_id = RoomId::parse(&self.room_id).expect("a room id");
        let room = rooms::find(&self.server.home, &room_id).await.expect("the room");
        rooms::append(&self.server.home, &room, intent).await.expect("an event").to_string()
    }

    /// Sets state as `who`; answers the event id.
    pub async fn set(&self, who: &User, event_type: &str, state_key: &str, value: Value) -> String {
        self.append(Intent::state(&who.user_id, event_type, state_key, content(&value))).await
    }

    /// Sends an event as `who`; answers the event id.
    pub async fn send(&self, who: &User, event_type: &str, value: Value) -> String {
        self.append(Intent::message(&who.user_id, event_type, content(&value))).await
    }

    /// Redacts an event as `who`; answers the event id of the redaction.
    pub async fn redact(&self, who: &User, event_id: &str) -> String {
        let redacts = Some(event_id.try_into().expect("an event id"));
        let intent = Intent::message(&who.user_id, "m.room.redaction", content(&json!({})));
        self.append(Intent { redacts, ..intent }).await
    }

    /// `who` makes `whom` have this membership.
    pub async fn member(&self, who: &User, whom: &User, membership: &str) -> String {
        let value = json!({ "membership": membership });
        self.set(who, "m.room.member", whom.user_id.as_str(), value).await
    }

    /// `GET /_matrix/client/v3/rooms/{roomId}{path}`
    pub async fn get(&self, who: &User, path: &str) -> Reply {
        who.get(&format!("/v3/rooms/{}{path}", encode(&self.room_id))).await
    }

    /// `GET /_matrix/client/v1/rooms/{roomId}{path}`
    pub async fn get_v1(&self, who: &User, path: &str) -> Reply {
        who.get(&format!("/v1/rooms/{}{path}", encode(&self.room_id))).await
    }

    /// One event, as `who` gets it.
    pub async fn event(&self, who: &User, event_id: &str) -> Reply {
        self.get(who, &format!("/event/{}", encode(event_id))).await
    }

    /// All that `who` gets on the way through `/messages` in pages of `limit`, with further parameters.
    pub async fn walk(&self, who: &User, dir: char, limit: usize, rest: &str) -> Vec<Value> {
        let (mut all, mut from) = (Vec::new(), String::new());
        for _ in 0..10_000 {
            let page =
                self.get(who, &format!("/messages?dir={dir}&limit={limit}&from={from}{rest}")).await.ok();
            let chunk = page["chunk"].as_array().expect("a chunk");
            assert!(chunk.len() <= limit, "{page}");
            all.extend(chunk.iter().cloned());
            match page["end"].as_str() {
                Some(end) => assert_ne!(std::mem::replace(&mut from, end.to_owned()), end, "no progress"),
                None => return all,
            }
        }
        panic!("/messages never ends");
    }
}

/// The texts of messages among events.
pub fn texts(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["content"]["body"].as_str()).collect()
}

/// The ids of events.
pub fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event_id"].as_str().expect("an event id")).collect()
}

/// A guest of the server.
pub async fn guest(server: &Server, localpart: &str) -> User {
    let user_id = UserId::parse(format!("@{localpart}:{SERVER_NAME}")).expect("a user id");
    accounts::register::create(&server.home, &user_id, Kind::Guest, None, false).await.expect("a guest");
    server.device_of(user_id, "GUEST").await
}

/// A message.
pub fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// The content of a state event of `room_id` now; null if there is none.
pub async fn state_of(server: &Server, room_id: &str, event_type: &str, state_key: &str) -> Value {
    let room_id = RoomId::parse(room_id).expect("a room id");
    let room = rooms::find(&server.home, &room_id).await.expect("the room");
    let root = room.head(&server.home).await.expect("a head").root;
    let event =
        rooms::state::event(&server.home, &room, root, event_type, state_key).await.expect("an answer");
    event.map_or(Value::Null, |event| event.content_as().expect("content"))
}

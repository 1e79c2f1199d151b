//! A stranger walks every route: nobody learns what they may not know, whichever way they ask.
//!
//! A closed room is full of words that nobody outside may read. Everybody who is outside (no token, a
//! wrong one, another user, a guest, one who was banned, one who has left) asks every endpoint for it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    harness::{Reply, Server, User, encode, on_both_databases},
    scene::guest,
};

/// Stands in everything that is said in the room. Not part of any id.
const SECRET: &str = "xyzzy";

/// What the walk is about.
struct Closed {
    room: String,
    event: String,
    owner: User,
}

/// A room that `departed` has left and from which `banned` was thrown before anything was said.
async fn closed(server: &Server, owner: User, banned: &User, departed: &User) -> Closed {
    let open =
        json!([{ "type": "m.room.history_visibility", "content": { "history_visibility": "shared" } }]);
    let room = owner.creates_room(json!({ "initial_state": open })).await;
    for user in [banned, departed] {
        owner.invites(&room, user).await;
        user.joins(&room).await;
    }
    departed.leaves(&room).await;
    owner.does(&room, "ban", json!({ "user_id": banned.user_id })).await.ok();
    owner.sets(&room, "m.room.name", "", json!({ "name": format!("the {SECRET} room") })).await.ok();
    owner.sets(&room, "m.room.topic", "", json!({ "topic": SECRET })).await.ok();
    owner.sets(&room, "org.example.state", "key", json!({ "value": SECRET })).await.ok();
    let name = json!({ "membership": "join", "displayname": SECRET });
    owner.sets(&room, "m.room.member", owner.user_id.as_str(), name).await.ok();
    let event = owner.say(&room, SECRET).await;
    let reply = json!({ "msgtype": "m.text", "body": SECRET,
        "m.relates_to": { "rel_type": "m.thread", "event_id": event } });
    owner.put(&format!("/v3/rooms/{}/send/m.room.message/reply", encode(&room)), reply).await.ok();
    let of_user = format!("/v3/user/{}", encode(owner.user_id.as_str()));
    let secret = json!({ "value": SECRET });
    owner.put(&format!("{of_user}/account_data/org.example.own"), secret.clone()).await.ok();
    owner
        .put(&format!("{of_user}/rooms/{}/account_data/org.example.own", encode(&room)), secret.clone())
        .await
        .ok();
    owner.put(&format!("{of_user}/rooms/{}/tags/u.{SECRET}", encode(&room)), json!({})).await.ok();
    owner.put("/v3/pushrules/global/content/own", json!({ "pattern": SECRET, "actions": [] })).await.ok();
    owner.put("/v3/devices/FIRST", json!({ "display_name": SECRET })).await.ok();
    let filter = json!({ "room": { "timeline": { "types": [SECRET] } } });
    owner.post(&format!("{of_user}/filter"), filter).await.ok();
    let delayed =
        format!("/v3/rooms/{}/send/m.room.message/later?org.matrix.msc4140.delay=600000", encode(&room));
    owner.put(&delayed, json!({ "body": SECRET })).await.ok();
    owner.does(&room, &format!("receipt/m.read/{}", encode(&event)), json!({})).await.ok();
    server.pass(std::time::Duration::from_secs(1));
    Closed { room, event, owner }
}

impl Closed {
    /// The path of an endpoint, filled with what the strangers are curious about.
    fn path(&self, template: &str) -> String {
        let owner = encode(self.owner.user_id.as_str());
        let fill = |name: &str| match name.trim_start_matches('*') {
            "room_alias" | "roomAlias" => encode("#nothing:hearth.test"),
            name if name.contains("room") => encode(&self.room),
            name if name.contains("user") => owner.clone(),
            "event_type" | "eventType" => "org.example.state".to_owned(),
            name if name.contains("event") => encode(&self.event),
            "state_key" => "key".to_owned(),
            "type" => "org.example.own".to_owned(),
            "deviceId" | "device_id" => "FIRST".to_owned(),
            "kind" => "content".to_owned(),
            "rule_id" => "own".to_owned(),
            "tag" => format!("u.{SECRET}"),
            "rel_type" => "m.thread".to_owned(),
            "receipt_type" => "m.read".to_owned(),
            "action" => "restart".to_owned(),
            "field" | "key_name" => "displayname".to_owned(),
            _ => "x".to_owned(),
        };
        let parts = template.split('/').map(|part| match part.strip_prefix('{') {
            Some(name) => fill(name.trim_end_matches('}')),
            None => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    }

    /// What the owner's things look like from inside, to see afterwards that nothing was touched.
    async fn inside(&self) -> Vec<Value> {
        let owner = encode(self.owner.user_id.as_str());
        let room = encode(&self.room);
        let mut all = Vec::new();
        for path in [
            format!("/v3/rooms/{room}/state"),
            format!("/v3/rooms/{room}/messages?dir=b&limit=100"),
            format!("/v3/user/{owner}/account_data/org.example.own"),
            format!("/v3/user/{owner}/rooms/{room}/tags"),
            "/v3/pushrules/".to_owned(),
            "/v3/devices/FIRST".to_owned(),
            format!("/v3/profile/{owner}"),
            format!("/v3/directory/list/room/{room}"),
            "/unstable/org.matrix.msc4140/delayed_events".to_owned(),
        ] {
            all.push(without_time(self.owner.get(&path).await.ok()));
        }
        all
    }
}

/// An answer without what changes by itself.
fn without_time(mut value: Value) -> Value {
    match &mut value {
        Value::Object(keys) => {
            for key in ["age", "start", "last_seen_ts"] {
                keys.remove(key);
            }
            keys.values_mut().for_each(|inner| *inner = without_time(inner.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| *inner = without_time(inner.take())),
        _ => {}
    }
    value
}

/// Bodies that ask for something in earnest.
fn bodies(closed: &Closed) -> Vec<Value> {
    let owner = &closed.owner.user_id;
    vec![
        json!({}),
        json!({
            "user_id": owner, "reason": "why", "membership": "leave", "body": "x", "msgtype": "m.text", "typing": true,
            "timeout": 1_000, "presence": "online", "new_version": "12", "visibility": "public", "room_id": closed.room,
            "displayname": "stolen", "pattern": "stolen", "actions": [], "enabled": false, "display_name": "stolen",
            "delay_ms": 1_000, "content": { "body": "x" }, "action": "send", "locked": true, "suspended": true,
            "m.fully_read": closed.event, "m.read": closed.event, "search_term": SECRET, "order": 0.5,
            "filter": { "generic_search_term": SECRET }, "devices": ["FIRST"], "username": "x", "password": "x",
        }),
    ]
}

const QUERIES: [&str; 2] = ["", "?dir=b&limit=100&ts=0&recurse=true&from=s1&user_id=%40owner%3Ahearth.test"];

/// Endpoints after which the session of who asked is over.
fn ends_the_session(path: &str) -> bool {
    ["logout", "deactivate", "account/password"].iter().any(|word| path.contains(word))
}

/// Asks one endpoint in every way, and checks what every answer may be.
async fn asks(who: &User, method: &Method, template: &str, closed: &Closed) {
    let path = closed.path(template);
    for body in bodies(closed) {
        let body = (*method != Method::GET).then(|| body.to_string());
        for query in QUERIES {
            let asked = format!("{path}{query}");
            let Reply { status, body: answer, .. } = who.ask(method.clone(), &asked, body.as_deref()).await;
            let place = || format!("{} of {method} {asked}: {status} {answer}", who.user_id);
            assert!(status < 500, "{}", place());
            assert!(!answer.to_string().contains(SECRET) || echoes(template), "{}", place());
            if who.token.is_empty() || who.token == "hat_wrong" {
                let open = status >= 400 || is_for_all(template, method);
                assert!(open, "{} needs no token", place());
            }
        }
        if body.is_none() {
            break;
        }
    }
}

/// Endpoints whose answer repeats the question, or keeps what is the asker's own.
fn echoes(template: &str) -> bool {
    ["tags", "/filter"].iter().any(|word| template.contains(word))
}

/// What needs no token.
fn is_for_all(template: &str, method: &Method) -> bool {
    let read = [
        "versions",
        ".well-known",
        "login",
        "register",
        "available",
        "validity",
        "directory/",
        "profile/",
        "publicRooms",
        "summary",
        "fallback",
        "submit",
        "/sso/",
    ];
    let done = ["register", "login", "refresh", "fallback", "submit", "requestToken"];
    let words: &[&str] = if *method == Method::GET { &read } else { &done };
    words.iter().any(|word| template.contains(word))
}

on_both_databases! {
    async fn nobody_learns_or_does_what_they_may_not(server: Server) {
        let owner = server.user("owner").await;
        let (other, banned, departed) =
            (server.user("other").await, server.user("banned").await, server.user("departed").await);
        let (nobody, mut liar) = (server.stranger(), server.stranger());
        liar.token = "hat_wrong".to_owned();
        let visitor = guest(&server, "visitor").await;
        let closed = closed(&server, owner, &banned, &departed).await;
        let before = closed.inside().await;
        for endpoint in api::routes::routes() {
            // Old paths lead to the same place; the newest stands last.
            // Pages hold nothing of anybody and speak no JSON; they have tests of their own.
            let Some(template) = endpoint.paths.last().filter(|_| !endpoint.for_people) else { continue };
            for who in [&nobody, &liar] {
                asks(who, &endpoint.method, template, &closed).await;
            }
            for who in [&other, &visitor, &banned, &departed] {
                // Who may not be themselves any more would hide what comes next.
                let session = match ends_the_session(template) {
                    true => server.device_of(who.user_id.clone(), "WALK").await,
                    false => who.clone(),
                };
                if !template.contains("deactivate") {
                    asks(&session, &endpoint.method, template, &closed).await;
                }
            }
        }
        assert_eq!(closed.inside().await, before, "strangers left a trace");
    }
}

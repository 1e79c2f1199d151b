//! Many write and many follow, the server restarts in between: nothing is lost, doubled or out of order
//! for a client that follows `next_batch` and pages back over gaps.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use homeserver::rooms;
use ruma::RoomId;
use serde_json::{Value, json};

use crate::harness::{Server, User, encode, on_both_databases};

/// How often the server restarts, less one.
const PHASES: u64 = 3;
/// What each writer does between two restarts.
const DEEDS: usize = 16;

/// A small generator of numbers: tests repeat themselves, but for the scheduler.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What a client knows of a room while it is in it.
#[derive(Default)]
struct Stay {
    /// Event ids, oldest first.
    events: Vec<String>,
    state: BTreeMap<(String, String), String>,
    over: bool,
}

/// A client that follows.
struct Follower {
    user: User,
    query: String,
    since: String,
    after_timeline: bool,
    rooms: HashMap<String, Vec<Stay>>,
}

fn id_of(event: &Value) -> String {
    event["event_id"].as_str().expect("an event id").to_owned()
}

impl Follower {
    fn new(user: User, filter: &Value, query: &str) -> Self {
        Follower {
            query: format!("filter={}&{query}", encode(&filter.to_string())),
            after_timeline: query.contains("use_state_after=true"),
            since: String::new(),
            rooms: HashMap::new(),
            user,
        }
    }

    /// One sync; answers whether it told anything of rooms.
    async fn step(&mut self, timeout_ms: u64) -> bool {
        let since = if self.since.is_empty() { String::new() } else { format!("&since={}", self.since) };
        let path = format!("/v3/sync?{}&timeout={timeout_ms}{since}", self.query);
        let synced = self.user.get(&path).await.ok();
        self.since = synced["next_batch"].as_str().expect("next_batch").to_owned();
        let none = serde_json::Map::new();
        let section = |name: &str| synced["rooms"][name].as_object().unwrap_or(&none).clone();
        let (join, leave) = (section("join"), section("leave"));
        let any = !join.is_empty() || !leave.is_empty();
        for (room, told) in join {
            self.learn(&room, &told, false).await;
        }
        for (room, told) in leave {
            self.learn(&room, &told, true).await;
        }
        any
    }

    async fn learn(&mut self, room: &str, told: &Value, leaves: bool) {
        let stays = self.rooms.entry(room.to_owned()).or_default();
        let is_new = stays.last().is_none_or(|stay| stay.over);
        if is_new {
            stays.push(Stay::default());
        }
        let stay = stays.last_mut().expect("a stay");
        let timeline = told["timeline"]["events"].as_array().expect("a timeline");
        if told["timeline"]["limited"] == true && !is_new {
            let back = told["timeline"]["prev_batch"].as_str().expect("prev_batch");
            stay.events.extend(missed(&self.user, room, back, stay.events.last().expect("an event")).await);
        }
        stay.events.extend(timeline.iter().map(id_of));
        let name = if self.after_timeline { "state_after" } else { "state" };
        assert!(told.get(if self.after_timeline { "state" } else { "state_after" }).is_none());
        let state = told[name]["events"].as_array().expect("state");
        let changes = timeline.iter().filter(|_| !self.after_timeline);
        for event in state.iter().chain(changes) {
            if let Some(state_key) = event["state_key"].as_str() {
                let place = (event["type"].as_str().expect("a type").to_owned(), state_key.to_owned());
                stay.state.insert(place, id_of(event));
            }
        }
        stay.over = leaves;
    }
}

/// The events between `known` and the token `back`, oldest first.
async fn missed(user: &User, room: &str, back: &str, known: &str) -> Vec<String> {
    let (mut from, mut found) = (back.to_owned(), Vec::new());
    loop {
        let path = format!("/v3/rooms/{}/messages?dir=b&limit=5&from={from}", encode(room));
        let page = user.get(&path).await.ok();
        for event in page["chunk"].as_array().expect("a chunk") {
            if id_of(event) == known {
                found.reverse();
                return found;
            }
            found.push(id_of(event));
        }
        let end = page["end"].as_str();
        from = end.unwrap_or_else(|| panic!("{known} is not in the history of {room}")).to_owned();
    }
}

/// What one writer does.
async fn write(user: User, host: User, rooms: Vec<String>, seed: u64) {
    let mut numbers = Numbers(seed);
    for deed in 0..DEEDS {
        let room = &rooms[numbers.below(rooms.len() as u64) as usize];
        let path = encode(room);
        match numbers.below(10) {
            0 => drop(user.does(room, "join", json!({})).await),
            1 => drop(user.does(room, "leave", json!({})).await),
            2 => drop(host.does(room, "kick", json!({ "user_id": user.user_id })).await),
            3 => {
                let topic = json!({ "topic": format!("{seed} {deed}") });
                drop(host.put(&format!("/v3/rooms/{path}/state/m.room.topic/"), topic).await);
            }
            4 => {
                let name = json!({ "displayname": format!("{seed} {deed}") });
                drop(
                    user.put(&format!("/v3/profile/{}/displayname", encode(user.user_id.as_str())), name)
                        .await,
                );
            }
            _ => {
                let content = json!({ "msgtype": "m.text", "body": format!("{seed} {deed}") });
                let path = format!("/v3/rooms/{path}/send/m.room.message/{seed}-{deed}");
                drop(user.put(&path, content).await);
            }
        }
    }
}

/// The ids of all events of a room, oldest first, from the store itself.
async fn truth(server: &Server, room: &str) -> Vec<(String, Value)> {
    let room_id = RoomId::parse(room).expect("a room id");
    let room = rooms::find(&server.home, &room_id).await.expect("a room");
    let stored = store::events::after(&server.home.db, room.key, 0, i64::MAX, 100_000).await.expect("events");
    let read = |event: store::events::StoredEvent| {
        (event.event_id.clone(), serde_json::from_slice(&event.json).expect("JSON"))
    };
    stored.into_iter().map(read).collect()
}

/// Compares what a follower saw of a room with what happened.
async fn check(follower: &Follower, room: &str, happened: &[(String, Value)]) {
    let user = follower.user.user_id.as_str();
    let place: HashMap<&str, usize> =
        happened.iter().enumerate().map(|(place, (event_id, _))| (event_id.as_str(), place)).collect();
    let no_stays = Vec::new();
    let stays = follower.rooms.get(room).unwrap_or(&no_stays);
    let own = |event_id: &str| {
        let event = &happened[place[event_id]].1;
        let is_own = event["type"] == "m.room.member" && event["state_key"] == user;
        is_own.then(|| event["content"]["membership"].as_str().unwrap_or_default().to_owned())
    };
    for stay in stays {
        let places: Vec<usize> = stay.events.iter().map(|event_id| place[event_id.as_str()]).collect();
        for pair in places.windows(2) {
            assert_eq!(pair[1], pair[0] + 1, "{user} saw {places:?} of {room} ({})", follower.query);
        }
        let last = stay.events.last().expect("a stay has events");
        match stay.over {
            true => assert_eq!(own(last).as_deref(), Some("leave"), "{user} left {room} with another event"),
            false => {
                assert_eq!(places.last(), Some(&(happened.len() - 1)), "{user} misses the end of {room}")
            }
        }
    }
    let path = format!("/v3/rooms/{}/state", encode(room));
    let is_in = stays.last().is_some_and(|stay| !stay.over);
    let members = follower.user.get(&format!("/v3/rooms/{}/joined_members", encode(room))).await;
    assert_eq!(members.status == 200, is_in, "whether {user} is in {room}");
    if let Some(stay) = stays.last().filter(|_| is_in) {
        let state = follower.user.get(&path).await.ok();
        let now: BTreeMap<(String, String), String> = state
            .as_array()
            .expect("state")
            .iter()
            .map(|event| {
                let text = |key: &str| event[key].as_str().expect("text").to_owned();
                ((text("type"), text("state_key")), id_of(event))
            })
            .collect();
        assert_eq!(stay.state, now, "the state of {room} for {user} ({})", follower.query);
    }
}

on_both_databases! {
    async fn nothing_is_lost_doubled_or_out_of_order(server: Server) {
        let mut server = server;
        let mut host = server.user("host").await;
        let mut users = Vec::new();
        for name in ["ann", "ben", "cat"] {
            users.push(server.user(name).await);
        }
        let mut rooms = Vec::new();
        for _ in 0..3 {
            rooms.push(host.creates_room(json!({ "preset": "public_chat" })).await);
        }
        for user in &users {
            user.joins(&rooms[0]).await;
        }
        let mut followers = vec![Follower::new(host.clone(), &json!({}), "")];
        for (user, limit) in users.iter().zip([1, 3, 20]) {
            let filter = json!({ "room": { "timeline": { "limit": limit } } });
            followers.push(Follower::new(user.clone(), &filter, ""));
            followers.push(Follower::new(user.clone(), &filter, "use_state_after=true"));
        }
        for phase in 0..PHASES {
            let over = Arc::new(AtomicBool::new(false));
            let mut writing = Vec::new();
            for (i, user) in users.iter().enumerate() {
                let seed = phase * 10 + i as u64 + 1;
                writing.push(tokio::spawn(write(user.clone(), host.clone(), rooms.clone(), seed)));
            }
            let following: Vec<_> = followers
                .into_iter()
                .enumerate()
                .map(|(i, mut follower)| {
                    let over = over.clone();
                    tokio::spawn(async move {
                        while !over.load(Ordering::SeqCst) {
                            // Some wait, some ask again and again.
                            follower.step(if i % 2 == 0 { 100 } else { 0 }).await;
                        }
                        while follower.step(0).await {}
                        follower
                    })
                })
                .collect();
            for writer in writing {
                writer.await.expect("a writer");
            }
            over.store(true, Ordering::SeqCst);
            followers = Vec::new();
            for follower in following {
                followers.push(follower.await.expect("a follower"));
            }
            for room in &rooms {
                let happened = truth(&server, room).await;
                for follower in &followers {
                    check(follower, room, &happened).await;
                }
            }
            server.restart().await;
            let everybody = users.iter_mut().chain(followers.iter_mut().map(|follower| &mut follower.user));
            everybody.chain([&mut host]).for_each(|user| user.moves_to(&server));
        }
    }
}

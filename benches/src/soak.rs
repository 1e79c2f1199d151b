//! Mixed load for many minutes: whether every answer is right, and memory stays bounded.

mod delivered;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use self::delivered::{Acknowledged, Delivered};
use crate::{
    Outcome, crowd,
    http::{User, encode, text},
    server::Server,
};

/// Users who do things at the same time.
const USERS: usize = 16;
/// Rooms in which everybody is.
const ROOMS: usize = 8;
/// Connections that ask and do not read the answer, and that begin a request and do not go on.
const DEAD: usize = 50;
/// How long a user thinks.
const PAUSE: Duration = Duration::from_millis(10);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_secs(30);
/// Resident memory that a server with full caches may take, in MiB.
const RESIDENT_MB_MAX: u64 = 512;
/// Own messages that a user waits to see in its syncs.
const DUE_MAX: usize = 10_000;

/// Loads the server for so many minutes, and says every half minute what it takes.
#[allow(clippy::print_stdout)]
pub(crate) async fn soak(server: &Server, minutes: u64) -> Outcome<()> {
    let mut users = crowd::users(server, "soaker", USERS).await?;
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        let ask = json!({
            "preset": "public_chat", "name": format!("soaked room {n}"),
            "power_level_content_override": { "state_default": 0 },
        });
        let room = users[0].json(Method::POST, "/v3/createRoom", Some(&ask)).await?;
        rooms.push(text(&room, "room_id")?);
    }
    for user in &mut users {
        for room in &rooms {
            user.join(room).await?;
        }
    }
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let token = users[0].token.clone();
    let acknowledged: Arc<[Acknowledged]> = rooms.iter().map(|_| Acknowledged::default()).collect();
    let soaker = |(n, user)| Soaker::new(user, &rooms, (n, acknowledged.clone()));
    let acting = users.into_iter().enumerate().map(soaker).map(|soaker| act(soaker, until));
    let acting = async { Outcome::Ok(try_join_all(acting).await?.into_iter().sum::<usize>()) };
    let watching = watch(server, until);
    let dying = die(server, &token, until);
    println!("| minute | resident MB | CPU s |\n|---|---|---|");
    let (done, peak_mb, ()) = futures_util::future::try_join3(acting, watching, dying).await?;
    println!("{done} operations, every answer as it had to be; resident at most {peak_mb} MB");
    if peak_mb > RESIDENT_MB_MAX {
        return Err(format!("{peak_mb} MB are more than {RESIDENT_MB_MAX}").into());
    }
    Ok(())
}

#[allow(clippy::print_stdout)]
async fn watch(server: &Server, until: Instant) -> Outcome<u64> {
    let (begun, mut peak_mb) = (Instant::now(), 0);
    while Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        let resident_mb = server.resident_kb()? / 1024;
        peak_mb = peak_mb.max(resident_mb);
        let minute = begun.elapsed().as_secs_f64() / 60.0;
        println!("| {minute:.1} | {resident_mb} | {:.0} |", server.cpu()?.as_secs_f64());
    }
    Ok(peak_mb)
}

/// Keeps so many connections that nobody can be pleased with, new ones for the oldest.
async fn die(server: &Server, token: &str, until: Instant) -> Outcome<()> {
    let mut dead = VecDeque::new();
    while Instant::now() < until {
        for ask in [
            format!(
                "GET /_matrix/client/v3/sync HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"
            ),
            "PUT /_matrix/client/v3/profile/a/displayname HTTP/1.1\r\nhost: a\r\ncontent-len".to_owned(),
        ] {
            let mut stream = TcpStream::connect(server.address()).await?;
            // It may be closed already, which is as good.
            let _ = stream.write_all(ask.as_bytes()).await;
            dead.push_back(stream);
        }
        if dead.len() > DEAD {
            dead.drain(..2);
        }
        tokio::time::sleep(10 * PAUSE).await;
    }
    Ok(())
}

/// Somebody who does all kinds of things.
struct Soaker {
    user: User,
    rooms: Vec<String>,
    since: String,
    /// Event ids of its own messages that no sync has shown yet, by room, in order.
    due: Vec<VecDeque<String>>,
    /// What everybody said, by room, and what this user was told of it.
    acknowledged: Arc<[Acknowledged]>,
    delivered: Vec<Delivered>,
    number: usize,
}

async fn act(mut soaker: Soaker, until: Instant) -> Outcome<usize> {
    let (next, _) = soaker.user.sync("", 0).await?;
    soaker.since = next;
    for (delivered, acknowledged) in soaker.delivered.iter_mut().zip(&*soaker.acknowledged) {
        delivered.pass(acknowledged.count());
    }
    let mut done = 0;
    while Instant::now() < until {
        soaker.step(done).await.map_err(|error| format!("operation {done}: {error}"))?;
        done += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(done)
}

impl Soaker {
    fn new(user: User, rooms: &[String], (number, acknowledged): (usize, Arc<[Acknowledged]>)) -> Self {
        let due = vec![VecDeque::new(); rooms.len()];
        let delivered = rooms.iter().map(|_| Delivered::default()).collect();
        let (rooms, since) = (rooms.to_vec(), String::new());
        Soaker { user, rooms, since, due, acknowledged, delivered, number }
    }

    async fn step(&mut self, n: usize) -> Outcome<()> {
        let place = (n + self.number) % self.rooms.len();
        let room = encode(&self.rooms[place]);
        match n % 40 {
            1 => self.redact(place, &room, n).await,
            5 => {
                self.put(&format!("/v3/rooms/{room}/state/org.test.fact/{}", n % 50), json!({ "n": n })).await
            }
            9 => self.rule(n).await,
            13 => self.react(place, &room, n).await,
            17 => {
                let path = format!("/v3/user/{}/rooms/{room}/tags/u.{}", self.me(), n % 5);
                self.put(&path, json!({ "order": 0.5 })).await
            }
            21 => self.filter(n).await,
            25 => self.name(place, n).await,
            29 if n % 120 == 29 => self.log_in_and_out().await,
            33 => self.look_at_others().await,
            37 => {
                self.put(&format!("/v3/presence/{}/status", self.me()), json!({ "presence": "online" })).await
            }
            3 => self.read(place, &room).await,
            7 => {
                self.put(
                    &format!("/v3/rooms/{room}/typing/{}", self.me()),
                    json!({ "typing": true, "timeout": 5000 }),
                )
                .await
            }
            11 => {
                self.put(
                    &format!("/v3/user/{}/account_data/org.test.{}", self.me(), n % 7),
                    json!({ "n": n }),
                )
                .await
            }
            15 => self.page(&room).await,
            19 => {
                self.put(
                    &format!("/v3/profile/{}/displayname", self.me()),
                    json!({ "displayname": format!("soaker {}", n % 3) }),
                )
                .await
            }
            23 if n % 400 == 23 => self.come_and_go().await,
            27 => self.members(&room).await,
            31 if n % 200 == 31 => self.user.sync("", 0).await.map(drop),
            _ if n.is_multiple_of(3) => self.sync().await,
            _ => self.say(place, n).await,
        }
    }

    fn me(&self) -> String {
        encode(&self.user.user_id)
    }

    async fn put(&mut self, path: &str, body: Value) -> Outcome<()> {
        self.user.json(Method::PUT, path, Some(&body)).await.map(drop)
    }

    async fn say(&mut self, place: usize, n: usize) -> Outcome<()> {
        let room = self.rooms[place].clone();
        let event_id = self.user.say(&room, &format!("operation {n} of soaker {}", self.number)).await?;
        self.acknowledged[place].note(event_id.clone());
        if self.due[place].len() < DUE_MAX {
            self.due[place].push_back(event_id);
        }
        Ok(())
    }

    async fn read(&mut self, place: usize, room: &str) -> Outcome<()> {
        let Some(event_id) = self.due[place].back().cloned() else { return Ok(()) };
        let path = format!("/v3/rooms/{room}/receipt/m.read/{}", encode(&event_id));
        self.user.json(Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    async fn page(&mut self, room: &str) -> Outcome<()> {
        let path = format!("/v3/rooms/{room}/messages?dir=b&limit=50");
        let page = self.user.json(Method::GET, &path, None).await?;
        match page["chunk"].as_array().map(Vec::len) {
            Some(1..=50) => Ok(()),
            other => Err(format!("a page of {other:?} events").into()),
        }
    }

    async fn members(&mut self, room: &str) -> Outcome<()> {
        let path = format!("/v3/rooms/{room}/joined_members");
        let answer = self.user.json(Method::GET, &path, None).await?;
        match answer["joined"].as_object().map(serde_json::Map::len) {
            Some(USERS) => Ok(()),
            other => Err(format!("{other:?} members").into()),
        }
    }

    /// Takes the newest message back that a sync has yet to show.
    async fn redact(&mut self, place: usize, room: &str, n: usize) -> Outcome<()> {
        let room_id = self.rooms[place].clone();
        let event_id = self.user.say(&room_id, "a message that is taken back").await?;
        // It may be shown with content or without.
        self.acknowledged[place].note(event_id.clone());
        self.due[place].push_back(event_id.clone());
        self.put(&format!("/v3/rooms/{room}/redact/{}/redact{n}", encode(&event_id)), json!({})).await
    }

    async fn react(&mut self, place: usize, room: &str, n: usize) -> Outcome<()> {
        let Some(event_id) = self.due[place].back().cloned() else { return Ok(()) };
        let relates = json!({ "rel_type": "m.annotation", "event_id": event_id, "key": "+" });
        let path = format!("/v3/rooms/{room}/send/m.reaction/react{n}");
        self.put(&path, json!({ "m.relates_to": relates })).await?;
        let path = format!("/v1/rooms/{room}/relations/{}/m.annotation", encode(&event_id));
        let found = self.user.json(Method::GET, &path, None).await?;
        match found["chunk"].as_array().map(Vec::len) {
            Some(1..) => Ok(()),
            _ => Err(format!("the reaction to {event_id} is lost").into()),
        }
    }

    async fn rule(&mut self, n: usize) -> Outcome<()> {
        let path = format!("/v3/pushrules/global/content/rule{}", n % 3);
        self.put(&path, json!({ "pattern": "word", "actions": ["notify"] })).await?;
        self.user.call(Method::DELETE, &path, None).await.map(drop)
    }

    async fn filter(&mut self, n: usize) -> Outcome<()> {
        let path = format!("/v3/user/{}/filter", self.me());
        let filter = json!({ "room": { "timeline": { "limit": n % 20 + 1 } } });
        let filter_id = text(&self.user.json(Method::POST, &path, Some(&filter)).await?, "filter_id")?;
        let kept = self.user.json(Method::GET, &format!("{path}/{filter_id}"), None).await?;
        if kept == filter { Ok(()) } else { Err(format!("another filter: {kept}").into()) }
    }

    async fn name(&mut self, place: usize, n: usize) -> Outcome<()> {
        let server_name = self.user.user_id.split_once(':').map_or("localhost", |(_, name)| name);
        let alias = encode(&format!("#soaker{}.{n}:{server_name}", self.number));
        let path = format!("/v3/directory/room/{alias}");
        self.put(&path, json!({ "room_id": self.rooms[place] })).await?;
        let found = text(&self.user.json(Method::GET, &path, None).await?, "room_id")?;
        if found != self.rooms[place] {
            return Err(format!("{path} leads to {found}").into());
        }
        self.user.call(Method::DELETE, &path, None).await.map(drop)
    }

    async fn log_in_and_out(&mut self) -> Outcome<()> {
        let ask = json!({
            "type": "m.login.password", "password": "a benchmark's password",
            "identifier": { "type": "m.id.user", "user": self.user.user_id },
        });
        let token = text(&self.user.json(Method::POST, "/v3/login", Some(&ask)).await?, "access_token")?;
        let own = std::mem::replace(&mut self.user.token, token);
        self.user.json(Method::GET, "/v3/account/whoami", None).await?;
        self.user.json(Method::POST, "/v3/logout", Some(&json!({}))).await?;
        let lives_on = self.user.call(Method::GET, "/v3/account/whoami", None).await.is_ok();
        self.user.token = own;
        if lives_on { Err("a session lives on after it was logged out".into()) } else { Ok(()) }
    }

    /// Profiles, directories and what two users share.
    async fn look_at_others(&mut self) -> Outcome<()> {
        let other =
            self.user.user_id.replacen(&self.number.to_string(), &((self.number + 1) % USERS).to_string(), 1);
        self.user.call(Method::GET, &format!("/v3/profile/{}", encode(&other)), None).await?;
        let shared = format!("/v1/user/mutual_rooms?user_id={}", encode(&other));
        self.user.call(Method::GET, &shared, None).await?;
        self.user.call(Method::GET, "/v3/publicRooms?limit=10", None).await.map(drop)
    }

    async fn come_and_go(&mut self) -> Outcome<()> {
        let room = self.user.create_room("a room for a moment").await?;
        self.user.say(&room, "is there anybody?").await?;
        let path = format!("/v3/rooms/{}/leave", encode(&room));
        self.user.json(Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    /// Syncs; what anybody said must be there once, and what the user said itself also in order.
    async fn sync(&mut self) -> Outcome<()> {
        let counts: Vec<_> = self.acknowledged.iter().map(Acknowledged::count).collect();
        let (next, answer) = self.user.sync(&self.since.clone(), 0).await?;
        self.since = next;
        for (place, (room, due)) in self.rooms.iter().zip(&mut self.due).enumerate() {
            let timeline = &answer["rooms"]["join"][room]["timeline"];
            let limited = timeline["limited"] == json!(true);
            let events = timeline["events"].as_array().into_iter().flatten();
            let told = events.filter(|event| event["type"] == "m.room.message");
            let told = told.filter_map(|event| event["event_id"].as_str());
            let (all, count) = (&self.acknowledged[place], counts[place]);
            self.delivered[place]
                .check(all, count, limited, told)
                .map_err(|error| format!("{room}: {error}"))?;
            if timeline["limited"] == json!(true) {
                // More happened than a sync shows: begin anew.
                due.clear();
                continue;
            }
            for event in timeline["events"].as_array().into_iter().flatten() {
                let mine = event["sender"] == json!(self.user.user_id) && event["type"] == "m.room.message";
                if mine && due.pop_front().as_deref() != event["event_id"].as_str() {
                    return Err(format!("lost or doubled: {event}").into());
                }
            }
            if !due.is_empty() {
                return Err(format!("{} messages are missing in {room}", due.len()).into());
            }
        }
        Ok(())
    }
}

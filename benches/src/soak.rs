//! Mixed load for many minutes: whether every answer is right, and memory stays bounded.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    Outcome, crowd,
    http::{User, encode},
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
        rooms.push(users[0].create_room(&format!("soaked room {n}")).await?);
    }
    for user in &mut users {
        for room in &rooms {
            user.join(room).await?;
        }
    }
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let token = users[0].token.clone();
    let acting = users.into_iter().enumerate().map(|(n, user)| act(Soaker::new(user, &rooms, n), until));
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
    number: usize,
}

async fn act(mut soaker: Soaker, until: Instant) -> Outcome<usize> {
    let (next, _) = soaker.user.sync("", 0).await?;
    soaker.since = next;
    let mut done = 0;
    while Instant::now() < until {
        soaker.step(done).await.map_err(|error| format!("operation {done}: {error}"))?;
        done += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(done)
}

impl Soaker {
    fn new(user: User, rooms: &[String], number: usize) -> Self {
        let due = vec![VecDeque::new(); rooms.len()];
        Soaker { user, rooms: rooms.to_vec(), since: String::new(), due, number }
    }

    async fn step(&mut self, n: usize) -> Outcome<()> {
        let place = (n + self.number) % self.rooms.len();
        let room = encode(&self.rooms[place]);
        match n % 40 {
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

    async fn come_and_go(&mut self) -> Outcome<()> {
        let room = self.user.create_room("a room for a moment").await?;
        self.user.say(&room, "is there anybody?").await?;
        let path = format!("/v3/rooms/{}/leave", encode(&room));
        self.user.json(Method::POST, &path, Some(&json!({}))).await.map(drop)
    }

    /// Syncs; what the user said itself must be there, once and in order.
    async fn sync(&mut self) -> Outcome<()> {
        let (next, answer) = self.user.sync(&self.since.clone(), 0).await?;
        self.since = next;
        for (room, due) in self.rooms.iter().zip(&mut self.due) {
            let timeline = &answer["rooms"]["join"][room]["timeline"];
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

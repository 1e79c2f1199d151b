//! `kill -9` at random moments, while people talk, join, leave, read, keep account data, log in and do
//! everything else that can be acknowledged.
//!
//! Everybody repeats what was not answered, with the same transaction id, until it is. HEARTH_TEST_KILLS
//! says how often the server dies.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use store::Db;
use tokio::task::JoinHandle;

use crate::{
    deeds::Deeds,
    person::{Person, encode, messages, text},
    place::Place,
};

/// How often the server is killed, unless HEARTH_TEST_KILLS says otherwise.
const KILLS: usize = 20;
/// So much is acknowledged in each of its lives, and then it is killed after so many milliseconds.
const LIFE_DEEDS: usize = 24;
const LIFE_MS: std::ops::Range<u64> = 0..400;
/// People who do things at the same time, and look back after each death.
const PEOPLE: usize = 4;
/// People who talk without looking back.
const TALKERS: usize = 4;
/// A sync shows so much of a room; more does not happen between two of them.
const FILTER: &str = r#"{"room":{"timeline":{"limit":1000}}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_sqlite() {
    survive(Place::on_sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_on_postgres() {
    survive(Place::on_postgres().await).await;
}

async fn survive(place: Place) {
    let kills = std::env::var("HEARTH_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let running = place.start();
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::registers(&place, &format!("person{n}")).await);
    }
    let (room, revolving) = (people[0].creates_room().await, people[0].creates_room().await);
    // Everybody begins outside of it, but somebody has to stay.
    let keeper = Person::registers(&place, "keeper").await;
    keeper.joins(&revolving).await;
    people[0]
        .insists(Method::POST, &format!("/v3/rooms/{}/leave", encode(&revolving)), Some(json!({})))
        .await;
    let mut talking = Vec::new();
    for person in &people {
        person.joins(&room).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let said = Arc::new(AtomicUsize::new(0));
    let mut acting = Vec::new();
    let mut following = Vec::new();
    let mut begins = Vec::new();
    for person in &people {
        begins.push(text(&person.syncs("", "timeout=0").await, "next_batch"));
    }
    for (person, begin) in people.iter().zip(begins) {
        let rooms = (room.clone(), revolving.clone());
        let deeds = Deeds::new(person.clone(), &keeper.user_id).await;
        acting.push(tokio::spawn(Actor::new(person.clone(), rooms, deeds).acts(done.clone(), said.clone())));
        following.push(tokio::spawn(follow(person.clone(), room.clone(), begin, done.clone())));
    }
    for n in 0..TALKERS {
        let talker = Person::registers(&place, &format!("talker{n}")).await;
        talker.joins(&room).await;
        talking.push(tokio::spawn(talk(talker, room.clone(), done.clone(), said.clone())));
    }
    let running = kill_and_start(&place, running, kills, &said).await;
    done.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut others, mut repeated, mut promises) = (Vec::new(), 0, 0, 0);
    for actor in acting {
        let actor = actor.await.expect("an actor is content");
        others += actor.kept + actor.reads + actor.deeds.positions;
        repeated += actor.repeated + actor.deeds.repeated;
        promises += actor.deeds.look_at_everything().await;
        acknowledged.extend(actor.sent);
    }
    for talking in talking {
        acknowledged.extend(talking.await.expect("everything was acknowledged in the end"));
    }
    is_there_once(&people[0], &room, &acknowledged, following).await;
    drop(running);
    has_no_holes(&place, others, repeated).await;
    let verified = place.verified();
    let looked = verified.lines().find(|line| line.starts_with("looked")).unwrap_or_default();
    let acknowledged = acknowledged.len();
    eprintln!("{kills} kills, {acknowledged} messages and {promises} other promises kept; {looked}");
}

/// Whatever was acknowledged is in the room once and as it was told, and each sync told all of it once.
async fn is_there_once(
    person: &Person,
    room: &str,
    acknowledged: &[(String, String)],
    following: Vec<JoinHandle<Vec<(String, String)>>>,
) {
    let last = person.says(room, "the end").await;
    let history = person.history(room).await;
    for (event_id, message) in acknowledged {
        let found: Vec<_> = history.iter().filter(|(_, said)| said == message).collect();
        assert_eq!(found.len(), 1, "{message} was acknowledged, and is there {} times", found.len());
        assert_eq!(&found[0].0, event_id, "{message} was acknowledged as another event");
    }
    assert_eq!(history.len(), acknowledged.len() + 1, "something is there that nobody said");
    for follower in following {
        let followed = follower.await.expect("a follower is content");
        assert_eq!(followed, history, "a sync lost or doubled something");
    }
    assert_eq!(history.last().map(|(event_id, _)| event_id), Some(&last));
}

/// Every position was given to an event or to one of `others`; what was kept unanswered and then
/// `repeated` took one each time.
async fn has_no_holes(place: &Place, others: usize, repeated: usize) {
    let db = Db::snapshot(&place.url).await.expect("the database opens");
    let events: Option<(i64,)> = db.row("SELECT COUNT(*) FROM event", &[]).await.expect("it answers");
    let holes = db.upto() - events.expect("a count").0 - others as i64;
    assert!((0..=repeated as i64).contains(&holes), "{holes} positions were given to nothing");
}

/// Kills the server and starts it again, so often.
async fn kill_and_start(
    place: &Place,
    running: crate::place::Running,
    kills: usize,
    said: &AtomicUsize,
) -> crate::place::Running {
    let mut running = running;
    for _ in 0..kills {
        let before = said.load(Ordering::SeqCst);
        // A life in which nothing happened would prove nothing.
        while said.load(Ordering::SeqCst) < before + LIFE_DEEDS {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(LIFE_MS))).await;
        drop(running);
        place.verified();
        running = place.start();
    }
    running
}

/// Says things until it is done; answers what was acknowledged.
async fn talk(
    person: Person,
    room: String,
    done: Arc<AtomicBool>,
    said: Arc<AtomicUsize>,
) -> Vec<(String, String)> {
    let mut sent = Vec::new();
    while !done.load(Ordering::SeqCst) {
        let message = format!("{} {}", person.user_id, sent.len());
        let (path, body) = Person::message(&room, &sent.len().to_string(), &message);
        sent.push((text(&person.insists(Method::PUT, &path, Some(body)).await, "event_id"), message));
        said.fetch_add(1, Ordering::SeqCst);
    }
    sent
}

/// Follows a room by sync until somebody says «the end», across all deaths of the server.
async fn follow(person: Person, room: String, begin: String, done: Arc<AtomicBool>) -> Vec<(String, String)> {
    let (mut since, mut seen) = (begin, Vec::new());
    let query = format!("timeout=1000&filter={}", encode(FILTER));
    loop {
        let answer = person.syncs(&since, &query).await;
        let timeline = &answer["rooms"]["join"][&room]["timeline"];
        if timeline["limited"] == json!(true) {
            seen.extend(between(&person, &room, &since, text(timeline, "prev_batch")).await);
        }
        since = text(&answer, "next_batch");
        seen.extend(messages(&timeline["events"]));
        let ended = seen.last().is_some_and(|(_, said): &(String, String)| said == "the end");
        if ended && done.load(Ordering::SeqCst) {
            return seen;
        }
    }
}

/// What was said after `since` and before `from`, where more happened than a sync shows: a fast machine
/// says much while one who follows finds the server again. Read backwards, as clients do.
async fn between(person: &Person, room: &str, since: &str, mut from: String) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let path = format!("/v3/rooms/{}/messages?dir=b&limit=100&to={}", encode(room), encode(since));
    loop {
        let page = person.insists(Method::GET, &format!("{path}&from={}", encode(&from)), None).await;
        found.extend(messages(&page["chunk"]));
        match page["end"].as_str() {
            Some(end) => from = end.to_owned(),
            None => break,
        }
    }
    found.reverse();
    found
}

/// Somebody who does one thing after the other, and knows what was acknowledged.
struct Actor {
    person: Person,
    room: String,
    /// A room that the actor enters and leaves.
    revolving: String,
    sent: Vec<(String, String)>,
    inside: bool,
    read: Option<String>,
    /// Receipts, each for a later message.
    reads: usize,
    /// Pieces of account data.
    kept: usize,
    /// How many of these two had to be repeated, which is no harm.
    repeated: usize,
    sessions: Vec<Person>,
    deeds: Deeds,
    /// How many deeds there were.
    acted: usize,
}

impl Actor {
    fn new(person: Person, (room, revolving): (String, String), deeds: Deeds) -> Self {
        let (sent, sessions) = (Vec::new(), Vec::new());
        Actor {
            person,
            room,
            revolving,
            sent,
            inside: false,
            read: None,
            reads: 0,
            kept: 0,
            repeated: 0,
            sessions,
            deeds,
            acted: 0,
        }
    }

    async fn acts(mut self, done: Arc<AtomicBool>, said: Arc<AtomicUsize>) -> Self {
        for n in 0.. {
            if done.load(Ordering::SeqCst) {
                break;
            }
            let asked = match n % 16 {
                3 | 11 => self.moves().await,
                5 | 13 | 7 | 15 => {
                    let asked = if n % 4 == 1 { self.reads().await } else { self.keeps().await };
                    self.repeated += usize::from(asked > 1);
                    asked
                }
                8 if n % 128 == 8 => self.logs_in(n).await,
                1 | 6 | 9 | 14 => {
                    self.acted += 1;
                    self.deeds.does(self.acted).await
                }
                _ => self.says(n).await,
            };
            said.fetch_add(1, Ordering::SeqCst);
            if asked > 1 {
                self.looks_back().await;
            }
        }
        self.looks_back().await;
        self
    }

    /// Asks until granted; answers how often it took, and the answer.
    async fn asks(&self, method: Method, path: &str, body: Value) -> (usize, Value) {
        let reply = self.person.asks_until_answered(method, path, Some(body)).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        (reply.asked, reply.body)
    }

    async fn says(&mut self, n: usize) -> usize {
        let message = format!("{} {n}", self.person.user_id);
        let (path, body) = Person::message(&self.room, &n.to_string(), &message);
        let (asked, answer) = self.asks(Method::PUT, &path, body).await;
        self.sent.push((text(&answer, "event_id"), message));
        asked
    }

    async fn moves(&mut self) -> usize {
        let what = if self.inside { "leave" } else { "join" };
        let path = format!("/v3/rooms/{}/{what}", encode(&self.revolving));
        let reply = self.person.asks_until_answered(Method::POST, &path, Some(json!({}))).await;
        // Who left already, unanswered, can not leave again.
        assert!(reply.status == 200 || (reply.asked > 1 && reply.status == 403), "{what}: {}", reply.body);
        self.inside = !self.inside;
        reply.asked
    }

    async fn reads(&mut self) -> usize {
        let Some((event_id, _)) = self.sent.last().cloned() else { return 1 };
        let path = format!("/v3/rooms/{}/receipt/m.read/{}", encode(&self.room), encode(&event_id));
        self.read = Some(event_id);
        self.reads += 1;
        self.asks(Method::POST, &path, json!({})).await.0
    }

    fn kept_at(&self, n: usize) -> String {
        format!("/v3/user/{}/account_data/org.test.{n}", encode(&self.person.user_id))
    }

    async fn keeps(&mut self) -> usize {
        let path = self.kept_at(self.kept);
        self.kept += 1;
        self.asks(Method::PUT, &path, json!({ "n": self.kept })).await.0
    }

    async fn logs_in(&mut self, n: usize) -> usize {
        self.sessions.push(self.person.logs_in(&format!("DEVICE{n}")).await);
        1
    }

    /// Whether everything that was acknowledged is there, each at its newest.
    async fn looks_back(&self) {
        for (n, (event_id, message)) in self.sent.iter().enumerate().rev().take(3) {
            let txn = message.rsplit(' ').next().unwrap_or_default();
            let (path, body) = Person::message(&self.room, txn, message);
            let again = self.person.insists(Method::PUT, &path, Some(body)).await;
            assert_eq!(&text(&again, "event_id"), event_id, "message {n} was doubled");
        }
        let joined = self.person.insists(Method::GET, "/v3/joined_rooms", None).await;
        let joined = joined["joined_rooms"].as_array().cloned().unwrap_or_default();
        assert_eq!(joined.contains(&json!(self.revolving)), self.inside, "a membership was lost");
        if self.kept > 0 {
            let kept = self.person.insists(Method::GET, &self.kept_at(self.kept - 1), None).await;
            assert_eq!(kept["n"], json!(self.kept), "account data was lost");
        }
        self.deeds.look_back().await;
        for session in &self.sessions {
            session.insists(Method::GET, "/v3/account/whoami", None).await;
        }
        if let Some(read) = &self.read {
            let sync = self.person.syncs("", "timeout=0").await;
            let receipts = &sync["rooms"]["join"][&self.room]["ephemeral"]["events"];
            let receipts = receipts.as_array().into_iter().flatten();
            let mine = receipts
                .filter(|event| event["type"] == "m.receipt")
                .any(|event| event["content"][read]["m.read"].get(&self.person.user_id).is_some());
            assert!(mine, "a receipt was lost");
        }
    }
}

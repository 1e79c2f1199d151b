//! PostgreSQL restarts, hangs or is gone for a while. hearth says so, and goes on when it is back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;
use store::testing::{
    self,
    wire::{After, Mode, Wire},
};

use crate::{
    cluster::Cluster,
    deeds::Deeds,
    person::{Person, Reply, encode, text},
    place::Place,
};

/// A server whose PostgreSQL is at the end of a wire.
async fn wired() -> (Wire, Place) {
    let (url, guard) = testing::fresh_postgres().await.expect("run scripts/test, it starts PostgreSQL");
    let (wire, url) = Wire::to(&url).await.expect("the URL names a host and a port");
    (wire, Place::with(url, Some(Box::new(guard))))
}

#[track_caller]
fn is_told_to_come_back(reply: &Reply) {
    assert_eq!((reply.status, reply.body["errcode"].as_str()), (503, Some("M_UNKNOWN")), "{}", reply.body);
    assert!(reply.retry_after_s.is_some(), "503 without Retry-After");
}

/// Asks for health until it is as wanted.
async fn health_becomes(person: &Person, wanted: u16) {
    while person.health().await.0 != wanted {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How often the log says something.
fn told(place: &Place, what: &str) -> usize {
    place.log().matches(what).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgres_hangs_everything_is_refused_in_time_and_then_it_goes_on() {
    let (wire, place) = wired().await;
    let mut running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    let before = alice.says(&room, "before").await;
    let since = text(&alice.syncs("", "timeout=0").await, "next_batch");
    wire.set(Mode::Silent);
    let (path, body) = Person::message(&room, "during", "during");
    let state = format!("/v3/rooms/{}/members", encode(&room));
    let (sent, read, health) = tokio::join!(
        alice.asks(Method::PUT, &path, Some(&body)),
        alice.asks(Method::GET, &state, None),
        alice.health(),
    );
    is_told_to_come_back(&sent);
    is_told_to_come_back(&read);
    assert_eq!(health.0, 503, "{}", health.1);
    wire.set(Mode::Open);
    health_becomes(&alice, 200).await;
    let during = alice.says(&room, "during").await;
    let said = [(before, "before".to_owned()), (during, "during".to_owned())];
    assert_eq!(alice.history(&room).await, said);
    let news = alice.syncs(&since, "timeout=0").await;
    let news = crate::person::messages(&news["rooms"]["join"][&room]["timeline"]["events"]);
    assert_eq!(news, said[1..]);
    assert!(running.lives());
    drop(running);
    place.verified();
}

const GIVEN_UP: &str = "nobody knows whether a commit was kept";

#[tokio::test(flavor = "multi_thread")]
async fn commits_whose_answers_are_lost_double_nothing_and_memory_stays_right() {
    const ROUNDS: usize = 40;
    let (wire, place) = wired().await;
    let mut running = place.start();
    let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
    let room = alice.creates_room().await;
    let mut since = text(&alice.syncs("", "timeout=0").await, "next_batch");
    let mut seen = Vec::new();
    let mut said = Vec::new();
    let losses = [
        Mode::AnswerLost(After::Open),
        Mode::CommitLost(After::Open),
        Mode::AnswerLost(After::Open),
        Mode::AnswerLost(After::Gone),
    ];
    let (path, inside) = (format!("/v3/rooms/{}", encode(&room)), |round: usize| round.is_multiple_of(2));
    for round in 0..ROUNDS {
        // Being gone takes until hearth gives up, so it is done twice only.
        let loss = losses[if round % 20 == 7 { 3 } else { round % 3 }];
        wire.set(loss);
        let given_up = told(&place, GIVEN_UP);
        let back = async {
            if loss == Mode::AnswerLost(After::Gone) {
                while told(&place, GIVEN_UP) == given_up {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                wire.set(Mode::Open);
            }
        };
        let act = async {
            let what = if inside(round) { "join" } else { "leave" };
            let moved =
                bob.asks_until_answered(Method::POST, &format!("{path}/{what}"), Some(json!({}))).await;
            assert!(moved.status == 200 || moved.status == 403 && moved.asked > 1, "{what}: {}", moved.body);
            let message = format!("message {round}");
            let (path, body) = Person::message(&room, &round.to_string(), &message);
            (text(&alice.insists(Method::PUT, &path, Some(body)).await, "event_id"), message)
        };
        let ((), message) = tokio::join!(back, act);
        said.push(message);
        let joined = bob.insists(Method::GET, "/v3/joined_rooms", None).await;
        assert_eq!(joined["joined_rooms"].as_array().map(Vec::len), Some(usize::from(inside(round))));
        let news = alice.syncs(&since, "timeout=0").await;
        since = text(&news, "next_batch");
        seen.extend(crate::person::messages(&news["rooms"]["join"][&room]["timeline"]["events"]));
    }
    assert!(wire.lost() >= ROUNDS, "{} losses", wire.lost());
    assert_eq!(alice.history(&room).await, said);
    assert_eq!(seen, said, "a sync lost or doubled something");
    assert!(running.lives());
    drop(running);
    place.verified();
}

/// Says things until told to stop; answers what was acknowledged.
async fn talk(person: Person, room: String, stop: Arc<AtomicBool>) -> Vec<(String, String)> {
    let mut said = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let message = format!("{} {}", person.user_id, said.len());
        let (path, body) = Person::message(&room, &said.len().to_string(), &message);
        said.push((text(&person.insists(Method::PUT, &path, Some(body)).await, "event_id"), message));
    }
    said
}

/// Does one thing after the other until told to stop; answers how many promises were kept.
async fn act(mut deeds: Deeds, stop: Arc<AtomicBool>) -> usize {
    let mut n = 0;
    while !stop.load(Ordering::SeqCst) {
        n += 1;
        if deeds.does(n).await > 1 {
            deeds.look_back().await;
        }
    }
    deeds.look_at_everything().await
}

/// A server over a PostgreSQL of its own, with two people in a room who talk, and one who does all else.
struct Scene {
    cluster: Cluster,
    place: Place,
    running: crate::place::Running,
    alice: Person,
    room: String,
    stop: Arc<AtomicBool>,
    talking: Vec<tokio::task::JoinHandle<Vec<(String, String)>>>,
    acting: tokio::task::JoinHandle<usize>,
}

impl Scene {
    async fn begin() -> Self {
        let cluster = Cluster::new();
        let place = Place::with(cluster.start(), None);
        let running = place.start();
        let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
        let room = alice.creates_room().await;
        bob.joins(&room).await;
        let stop = Arc::new(AtomicBool::new(false));
        let talking = [&alice, &bob].map(|who| tokio::spawn(talk(who.clone(), room.clone(), stop.clone())));
        let carol = Deeds::new(Person::registers(&place, "carol").await, &bob.user_id).await;
        let (talking, acting) = (talking.into(), tokio::spawn(act(carol, stop.clone())));
        Scene { cluster, place, running, alice, room, stop, talking, acting }
    }

    /// Whatever was acknowledged is there once, and nothing else.
    async fn ends_well(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut said = Vec::new();
        for talking in self.talking {
            said.extend(talking.await.expect("everything was acknowledged in the end"));
        }
        let promises = self.acting.await.expect("everything that was acknowledged is there");
        let mut history = self.alice.history(&self.room).await;
        history.sort();
        said.sort();
        assert_eq!(history, said);
        eprintln!("{} messages and {promises} other promises kept", said.len());
        assert!(self.running.lives());
        drop(self.running);
        self.place.verified();
    }
}

const BEGINS: &str = "the database is out of order";
const ENDS: &str = "the database works again";

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_restarts_or_is_killed_under_load_is_found_again() {
    let scene = Scene::begin().await;
    let url = scene.place.url.clone();
    let members = format!("/v3/rooms/{}/members", encode(&scene.room));
    for how in [Signal::INT, Signal::KILL, Signal::KILL] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        scene.cluster.stop(how).await;
        health_becomes(&scene.alice, 503).await;
        is_told_to_come_back(&scene.alice.asks(Method::GET, &members, None).await);
        assert_eq!(scene.cluster.start(), url);
        health_becomes(&scene.alice, 200).await;
    }
    scene.ends_well().await;
}

/// How often a poll may have come too late before that is no accident.
const LATE_MAX: usize = 20;

/// Freezes PostgreSQL while somebody's long poll waits; answers the poll. That it has begun to wait is
/// seen by no other, so one that was still reading, and is refused therefore, is sent again.
async fn freezes_while_somebody_waits(scene: &Scene, somebody: &Person) -> tokio::task::JoinHandle<Reply> {
    let filter = encode(&json!({ "presence": { "types": [] } }).to_string());
    for _ in 0..LATE_MAX {
        let since = text(&somebody.syncs("", &format!("timeout=0&filter={filter}")).await, "next_batch");
        let query = format!("/v3/sync?timeout=300000&filter={filter}&since={since}");
        let poll = tokio::spawn({
            let somebody = somebody.clone();
            async move { somebody.asks(Method::GET, &query, None).await }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        scene.cluster.freeze();
        // Who asks after it is refused after it.
        is_told_to_come_back(&somebody.asks(Method::GET, "/v3/account/3pid", None).await);
        if !poll.is_finished() {
            return poll;
        }
        is_told_to_come_back(&poll.await.expect("no panic"));
        scene.cluster.thaw();
        health_becomes(somebody, 200).await;
    }
    panic!("no long poll lives through it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_freezes_is_waited_for_by_nobody_and_goes_on_when_it_thaws() {
    let scene = Scene::begin().await;
    let (alice, room) = (&scene.alice, &scene.room);
    let dave = Person::registers(&scene.place, "dave").await;
    let quiet = dave.creates_room().await;
    let poll = freezes_while_somebody_waits(&scene, &dave).await;
    let members = format!("/v3/rooms/{}/members", encode(room));
    let (path, body) = Person::message(&quiet, "during", "during");
    // One of each kind: what writes, what reads a little and what reads much.
    let (sent, read, searched, health) = tokio::join!(
        dave.asks(Method::PUT, &path, Some(&body)),
        alice.asks(Method::GET, &members, None),
        alice.asks(Method::GET, "/v3/sync?timeout=0", None),
        alice.health(),
    );
    for reply in [sent, read, searched] {
        is_told_to_come_back(&reply);
    }
    assert_eq!(health.0, 503, "{}", health.1);
    crowd_is_refused(&scene).await;
    assert_eq!(told(&scene.place, BEGINS), told(&scene.place, ENDS) + 1, "{}", scene.place.log());
    scene.cluster.thaw();
    health_becomes(alice, 200).await;
    let during = dave.says(&quiet, "during").await;
    let news = poll.await.expect("no panic");
    assert_eq!(news.status, 200, "a long poll did not live through it: {}", news.body);
    let news = crate::person::messages(&news.body["rooms"]["join"][&quiet]["timeline"]["events"]);
    assert_eq!(news, [(during, "during".to_owned())]);
    while told(&scene.place, ENDS) < told(&scene.place, BEGINS) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.ends_well().await;
}

/// How many ask while the database hangs, and how often all of them together.
const CROWD: usize = 1_500;
const CROWD_ASKS: usize = 10_000;
/// What those who wait may take, in KiB.
const CROWD_KB_MAX: u64 = 128 * 1024;

/// Everybody in a crowd is told to come back, over and over, and the server does not grow.
async fn crowd_is_refused(scene: &Scene) {
    let asks =
        std::env::var("HEARTH_TEST_ASKS").ok().and_then(|asks| asks.parse().ok()).unwrap_or(CROWD_ASKS);
    let before_kb = scene.running.resident_kb();
    let (asked, crowd) = (Arc::new(AtomicUsize::new(0)), CROWD.min(asks));
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..crowd {
        let (person, asked) = (scene.alice.clone(), asked.clone());
        let members = format!("/v3/rooms/{}/members", encode(&scene.room));
        let (send, body) = Person::message(&scene.room, &format!("crowd{n}"), "crowd");
        asking.spawn(async move {
            while asked.fetch_add(1, Ordering::Relaxed) < asks {
                let reply = match n % 2 {
                    0 => person.asks(Method::GET, &members, None).await,
                    _ => person.asks(Method::PUT, &send, Some(&body)).await,
                };
                // On a machine that has much to do a connection can be too late.
                if reply.status != 0 {
                    is_told_to_come_back(&reply);
                }
            }
        });
    }
    let mut peak_kb = 0;
    while let Some(done) = asking.join_next().await {
        done.expect("everybody was answered");
        peak_kb = peak_kb.max(scene.running.resident_kb());
    }
    let grown_kb = peak_kb.saturating_sub(before_kb);
    eprintln!("{asks} requests to a database that hangs: {grown_kb} KiB more");
    assert!(grown_kb < CROWD_KB_MAX, "{grown_kb} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_only_reads_refuses_writes_until_it_writes_again() {
    let cluster = Cluster::new();
    let place = Place::with(cluster.start(), None);
    let mut running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    let mut said = vec![(alice.says(&room, "before").await, "before".to_owned())];
    cluster.tell("ALTER SYSTEM SET default_transaction_read_only = on; SELECT pg_reload_conf()");
    let refused = loop {
        // It takes a moment until each connection has heard of it. What was said is not said again: a
        // repeated transaction writes nothing.
        let message = format!("message {}", said.len());
        let (path, body) = Person::message(&room, &message, &message);
        let reply = alice.asks(Method::PUT, &path, Some(&body)).await;
        if reply.status != 200 {
            break reply;
        }
        said.push((text(&reply.body, "event_id"), message));
    };
    is_told_to_come_back(&refused);
    assert!(
        refused.body["error"].as_str().is_some_and(|why| why.contains("only be read")),
        "{}",
        refused.body
    );
    assert_eq!(alice.history(&room).await, said);
    let health = alice.health().await;
    assert_eq!(health.0, 503);
    assert!(health.1.contains("read-only"), "{}", health.1);
    cluster.tell("ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf()");
    health_becomes(&alice, 200).await;
    said.push((alice.says(&room, "after").await, "after".to_owned()));
    assert_eq!(alice.history(&room).await, said);
    assert!(running.lives());
    drop(running);
    place.verified();
}

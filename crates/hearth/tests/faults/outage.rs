//! PostgreSQL restarts, hangs or is gone for a while. hearth says so, and goes on when it is back.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use store::testing::{
    self,
    wire::{After, Mode, Wire},
};
use tempfile::TempDir;

use crate::{
    person::{Person, Reply, encode, text},
    place::{Place, Running},
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
        let back = async {
            while loss == Mode::AnswerLost(After::Gone) && wire.lost() <= round {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if loss == Mode::AnswerLost(After::Gone) {
                tokio::time::sleep(Duration::from_secs(6)).await;
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

/// A PostgreSQL of its own, which a test may restart.
struct Cluster {
    folder: TempDir,
}

impl Cluster {
    fn script(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres-for-tests");
        let home = self.home();
        let done = Command::new(script).args(arguments).env("HEARTH_TEST_POSTGRES_DIR", home).output();
        let done = done.expect("the script runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("cluster")
    }

    /// Starts it; answers its URL.
    fn start(&self) -> String {
        self.script(&[])
    }

    /// Stops it as an operator would: connections end, what is committed stays.
    async fn stop(&self) {
        let file = self.home().join("data/postmaster.pid");
        let text = std::fs::read_to_string(&file).expect("it runs");
        let pid = text.lines().next().and_then(|line| line.parse().ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), Signal::INT).expect("it runs");
        while file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.script(&["stop"]);
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_restarts_under_load_is_found_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // PostgreSQL does not run as root, and must be let in.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("it is ours");
    let cluster = Cluster { folder };
    let url = cluster.start();
    let place = Place::with(url.clone(), None);
    let mut running: Running = place.start();
    let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
    let room = alice.creates_room().await;
    bob.joins(&room).await;
    let stop = Arc::new(AtomicBool::new(false));
    let talking = [&alice, &bob].map(|who| tokio::spawn(talk(who.clone(), room.clone(), stop.clone())));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        cluster.stop().await;
        health_becomes(&alice, 503).await;
        let reply = alice.asks(Method::GET, &format!("/v3/rooms/{}/members", encode(&room)), None).await;
        is_told_to_come_back(&reply);
        assert_eq!(cluster.start(), url, "its port was taken by somebody else meanwhile");
        health_becomes(&alice, 200).await;
    }
    stop.store(true, Ordering::SeqCst);
    let mut said = Vec::new();
    for talking in talking {
        said.extend(talking.await.expect("everything was acknowledged in the end"));
    }
    let mut history = alice.history(&room).await;
    history.sort();
    said.sort();
    assert_eq!(history, said);
    assert!(running.lives());
    drop(running);
    place.verified();
}

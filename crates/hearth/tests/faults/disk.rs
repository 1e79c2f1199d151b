//! The disk has no room left for the database, and later it has.
//!
//! What the operating system says when a file may not grow differs a little from what it says when the
//! disk is full, but needs no disk of its own, and no rights.

use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    person::{Person, encode, messages, text},
    place::{Place, Running},
};

/// Lets no file of the server become longer than this.
fn allow(running: &Running, bytes: Option<u64>) {
    let pid = Pid::from_raw(running.id().try_into().expect("a process id")).expect("it runs");
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("it is our child");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let place = Place::on_sqlite();
    let mut running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    let since = text(&alice.syncs("", "timeout=0").await, "next_batch");
    let log = std::fs::metadata(place.data().join("hearth.db-wal")).expect("there is a log").len();
    let mut said = Vec::new();
    for round in 0..3 {
        // Somewhere in the middle of a transaction.
        allow(&running, Some(log + 150_000 + 1_000 * round));
        let refused = loop {
            let message = format!("message {}", said.len());
            let (path, body) = Person::message(&room, &said.len().to_string(), &message);
            let reply = alice.asks(Method::PUT, &path, Some(&body)).await;
            match reply.status {
                200 => said.push((text(&reply.body, "event_id"), message)),
                _ => break reply,
            }
        };
        assert_eq!((refused.status, refused.body["errcode"].as_str()), (503, Some("M_UNKNOWN")));
        assert!(refused.retry_after_s.is_some());
        assert_eq!(alice.history(&room).await, said, "reading works, and nothing half is there");
        // What is small might still fit, and might have been written since.
        allow(&running, Some(1));
        let (path, body) = Person::message(&room, &said.len().to_string(), "nothing");
        assert_eq!(alice.asks(Method::PUT, &path, Some(&body)).await.status, 503);
        assert_eq!(alice.health().await.0, 503);
        allow(&running, None);
        assert_eq!(alice.health().await.0, 200);
        let (path, body) = Person::message(&room, &said.len().to_string(), "after");
        let after = alice.insists(Method::PUT, &path, Some(body)).await;
        said.push((text(&after, "event_id"), "after".to_owned()));
    }
    assert_eq!(alice.history(&room).await, said);
    let filter = encode(r#"{"room":{"timeline":{"limit":1000}}}"#);
    let news = alice.syncs(&since, &format!("timeout=0&filter={filter}")).await;
    assert_eq!(messages(&news["rooms"]["join"][&room]["timeline"]["events"]), said);
    assert!(running.lives());
    drop(running);
    place.verified();
    // What was written into the log and not committed must not come to life.
    let running = place.start();
    assert_eq!(alice.history(&room).await, said);
    drop(running);
}

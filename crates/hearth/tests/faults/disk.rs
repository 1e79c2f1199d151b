//! The disk has no room left for the database, or lets nothing be written, and later it does.
//!
//! What the operating system says when a file may not grow differs a little from what it says when the
//! disk is full, but needs no disk of its own, and no rights.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use reqwest::Method;
use rustix::{
    fs::{IFlags, ioctl_getflags, ioctl_setflags},
    process::{Pid, Resource, Rlimit, prlimit},
};

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

/// Files that nobody may write, not even who has them open: `chattr +i`. Lifted when dropped.
struct Immutable(Vec<PathBuf>);

impl Immutable {
    /// Nothing where this is not for us to say, as in most containers.
    fn make(files: Vec<PathBuf>) -> Option<Self> {
        let immutable = Immutable(files);
        immutable.set(IFlags::IMMUTABLE).ok()?;
        Some(immutable)
    }

    fn set(&self, flags: IFlags) -> rustix::io::Result<()> {
        self.0.iter().try_for_each(|path| {
            let file = File::open(path).expect("it is there");
            let kept = ioctl_getflags(&file)? - IFlags::IMMUTABLE;
            ioctl_setflags(&file, kept | flags)
        })
    }
}

impl Drop for Immutable {
    fn drop(&mut self) {
        let _ = self.set(IFlags::empty());
    }
}

/// The files that hold the database. The one beside them, of which all of SQLite's connections share the
/// memory, is none: whoever takes that away ends the process (SIGBUS).
fn database_files(place: &Place) -> Vec<PathBuf> {
    ["hearth.db", "hearth.db-wal"].map(|name| place.data().join(name)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_read_only_refuses_writes_until_it_is_writable_again() {
    let place = Place::on_sqlite();
    let mut running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    let mut said = Vec::new();
    for round in 0..3 {
        let message = format!("message {round}");
        said.push((alice.says(&room, &message).await, message));
        let Some(immutable) = Immutable::make(database_files(&place)) else {
            eprintln!("not shown here: files can not be made immutable");
            return;
        };
        let (path, body) = Person::message(&room, "refused", "refused");
        for _ in 0..3 {
            let refused = alice.asks(Method::PUT, &path, Some(&body)).await;
            assert_eq!((refused.status, refused.body["errcode"].as_str()), (503, Some("M_UNKNOWN")));
            assert!(refused.retry_after_s.is_some());
            assert!(refused.body.to_string().contains("can only be read"), "{}", refused.body);
        }
        assert_eq!(alice.history(&room).await, said, "reading works");
        let health = alice.health().await;
        assert!(health.0 == 503 && health.1.contains("read-only"), "{health:?}");
        drop(immutable);
        assert_eq!(alice.health().await.0, 200);
    }
    assert_eq!(alice.history(&room).await, said);
    assert!(running.lives());
    drop(running);
    place.verified();
}

#[test]
fn a_server_that_is_started_on_a_read_only_database_says_so() {
    let place = Place::on_sqlite();
    drop(place.start());
    let files = database_files(&place).into_iter().filter(|path| path.exists()).collect();
    let database = place.data().join("hearth.db");
    // Whoever may write everything is not kept from it by the mode of a file.
    let immutable = Immutable::make(files);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o400)).ok();
    if immutable.is_none() && rustix::process::geteuid().is_root() {
        eprintln!("not shown here: files can not be made immutable");
        return;
    }
    let refused = place.command(&["serve"], "hearth.toml").output().expect("hearth runs");
    let (fine, words) = crate::place::said(&refused);
    assert!(!fine && words.contains("cannot open the database") && words.contains("hearth.db"), "{words}");
    assert!(words.contains("not permitted") || words.contains("denied"), "{words}");
}

//! `hearth backup` while people talk, and a server that starts on what it made.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use reqwest::Method;
use store::testing;

use crate::{
    person::{Person, text},
    place::{Place, said},
};

/// Says things until told to stop; answers what was acknowledged.
async fn talk(person: Person, room: String, stop: Arc<AtomicBool>) -> Vec<(String, String)> {
    let mut said = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let message = format!("message {}", said.len());
        let (path, body) = Person::message(&room, &said.len().to_string(), &message);
        said.push((text(&person.insists(Method::PUT, &path, Some(body)).await, "event_id"), message));
    }
    said
}

/// Talks, makes a backup in the middle of it, restores it with `restore`, and looks what is there.
async fn back_up_and_restore(place: Place, restore: impl AsyncFn(&Place) -> String) {
    let running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    let mut before = Vec::new();
    for n in 0..20 {
        let (path, body) = Person::message(&room, &format!("before{n}"), &format!("before {n}"));
        let event_id = text(&alice.insists(Method::PUT, &path, Some(body)).await, "event_id");
        before.push((event_id, format!("before {n}")));
    }
    fs::create_dir_all(place.data().join("media/ab")).expect("a folder of media");
    fs::write(place.data().join("media/ab/cdef"), b"a picture").expect("a file of media");
    let stop = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn(talk(alice.clone(), room.clone(), stop.clone()));
    let mut backup = place.command(&["backup", "copy"], "hearth.toml");
    let made = tokio::task::spawn_blocking(move || backup.output()).await.expect("no panic");
    let (fine, words) = said(&made.expect("hearth runs"));
    assert!(fine, "{words}");
    assert!(words.contains("to restore"), "{words}");
    stop.store(true, Ordering::SeqCst);
    let later = talking.await.expect("the server works meanwhile");
    let mode = fs::metadata(place.path("copy")).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others can read the backup");
    let again = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
    assert!(!again.status.success(), "a backup was written over");
    assert!(said(&again).1.contains("is there already"), "{}", said(&again).1);
    drop(running);

    let url = restore(&place).await;
    place.configure("restored.toml", &place.path("copy"), &url);
    let verified = place.command(&["verify"], "restored.toml").output().expect("hearth runs");
    assert!(verified.status.success(), "{}", said(&verified).1);
    let running = place.start_with("restored.toml");
    let history = alice.history(&room).await;
    assert_eq!(history[..20], before, "something from before the backup is missing");
    assert_eq!(history[20..], later[..history.len() - 20], "the backup has a hole");
    assert_eq!(fs::read(place.path("copy/media/ab/cdef")).expect("media are there"), b"a picture");
    assert_eq!(
        fs::read(place.path("copy/signing.key")).expect("the key is there"),
        fs::read(place.data().join("signing.key")).expect("the key is there")
    );
    alice.says(&room, "it goes on").await;
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_sqlite_is_a_data_dir() {
    let place = Place::on_sqlite();
    back_up_and_restore(place, async |place| format!("sqlite:{}", place.path("copy/hearth.db").display()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_postgres_is_restored_with_pg_restore() {
    let (url, guard) = testing::fresh_postgres().await.expect("run scripts/test, it starts PostgreSQL");
    let name = guard.name().to_owned();
    let plain = std::env::var(testing::POSTGRES).expect("it was there a moment ago");
    let place = Place::with(url.clone(), None);
    back_up_and_restore(place, async |place| {
        // In this database the schema is in the way; an operator restores into an empty one.
        let drop_it = format!("DROP SCHEMA {name} CASCADE");
        let psql = Command::new("psql").args([&plain, "-qc", &drop_it]).output().expect("psql is installed");
        assert!(psql.status.success(), "{}", said(&psql).1);
        let restored = Command::new("pg_restore")
            .args(["--no-owner", "--exit-on-error", &format!("--dbname={plain}")])
            .arg(place.path("copy/hearth.pgdump"))
            .output()
            .expect("pg_restore is installed");
        assert!(restored.status.success(), "{}", said(&restored).1);
        url.clone()
    })
    .await;
    drop(guard);
}

#[test]
fn a_backup_that_can_not_be_made_leaves_nothing() {
    let place = Place::on_sqlite();
    let refused = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
    assert!(!refused.status.success(), "there is no database yet");
    assert!(!place.path("copy").exists() && !place.path("copy.unfinished").exists());
    drop(place.start());
    fs::remove_file(place.data().join("signing.key")).expect("there is a key");
    let keyless = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
    assert!(said(&keyless).1.contains("signing.key"), "{}", said(&keyless).1);
    assert!(!keyless.status.success() && !place.path("copy").exists());
    let nowhere = place.command(&["backup", "no/such/folder"], "hearth.toml").output().expect("hearth runs");
    assert!(said(&nowhere).1.contains("no/such/folder.unfinished"), "{}", said(&nowhere).1);
}

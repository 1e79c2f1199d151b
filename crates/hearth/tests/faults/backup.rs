//! `hearth backup` while people talk, and a server that starts on what it made.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
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

/// Everything in a folder, and itself.
fn only_the_owner_reads(path: &Path) {
    let about = fs::metadata(path).expect("it is there");
    let mode = about.permissions().mode() & 0o777;
    assert_eq!(mode, if about.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    if about.is_dir() {
        fs::read_dir(path)
            .expect("it is ours")
            .flatten()
            .for_each(|entry| only_the_owner_reads(&entry.path()));
    }
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
    only_the_owner_reads(&place.path("copy"));
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

/// Bytes of a picture that takes a while to copy.
const LARGE_BYTES: u64 = 256 << 20;

/// Breaks a backup off in its middle: what is left does not look whole, and is in nobody's way.
fn break_off(place: &Place) {
    fs::create_dir_all(place.data().join("media")).expect("a folder of media");
    // It takes a while to copy, and no place here.
    let picture = fs::File::create(place.data().join("media/large")).expect("a file of media");
    picture.set_len(LARGE_BYTES).expect("it is long");
    loop {
        let mut backup = place.command(&["backup", "copy"], "hearth.toml").spawn().expect("hearth runs");
        while !place.path("copy.unfinished/media").exists() && matches!(backup.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        let again = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
        assert!(!again.status.success(), "two made the same backup");
        backup.kill().expect("it is our child");
        let killed = backup.wait().expect("it ends").signal().is_some();
        if killed && !place.path("copy").exists() {
            break;
        }
        // It was faster; whatever has the last name is whole.
        let copied = fs::metadata(place.path("copy/media/large")).expect("media are there").len();
        assert_eq!(copied, LARGE_BYTES, "what was broken off looks whole");
        fs::remove_dir_all(place.path("copy")).expect("it is ours");
    }
    fs::write(place.path("copy.unfinished/letter"), "mine").expect("it is ours");
    let refused = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
    assert!(said(&refused).1.contains("move it elsewhere"), "{}", said(&refused).1);
    fs::remove_file(place.path("copy.unfinished/letter")).expect("it is still there");
    fs::write(place.data().join("media/large"), "a small one").expect("it is ours");
    let made = place.command(&["backup", "copy"], "hearth.toml").output().expect("hearth runs");
    assert!(made.status.success(), "{}", said(&made).1);
    assert!(place.path("copy/media/large").exists() && !place.path("copy.unfinished").exists());
}

/// Makes a backup where files can not grow beyond some pages.
fn has_no_room(place: &Place) {
    let line = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} backup small --config hearth.toml",
        env!("CARGO_BIN_EXE_hearth")
    );
    let full = Command::new("sh").args(["-c", &line]).current_dir(place.path("")).output();
    let full = full.expect("there is a shell");
    assert_eq!(full.status.code(), Some(1), "{}", said(&full).1);
    assert!(!place.path("small").exists() && !place.path("small.unfinished").exists(), "{}", said(&full).1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_or_has_no_room_leaves_nothing_that_looks_whole() {
    for place in [Place::on_sqlite(), Place::on_postgres().await] {
        let running = place.start();
        let alice = Person::registers(&place, "alice").await;
        alice.says(&alice.creates_room().await, "hello").await;
        tokio::task::block_in_place(|| {
            break_off(&place);
            has_no_room(&place);
        });
        drop(running);
    }
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

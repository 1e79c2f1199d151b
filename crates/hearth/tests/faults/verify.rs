//! `hearth verify` finds each thing that is not as it was written.

use rusqlite::Connection;
use serde_json::json;

use crate::{
    person::Person,
    place::{Place, said},
};

/// A server that was used for a while and is stopped.
async fn used() -> Place {
    let place = Place::on_sqlite();
    let running = place.start();
    let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
    let room = alice.creates_room().await;
    bob.joins(&room).await;
    let secret = alice.says(&room, "a secret").await;
    for n in 0..5 {
        bob.says(&room, &format!("message {n}")).await;
    }
    let path = |what: &str| format!("/v3/rooms/{}/{what}", crate::person::encode(&room));
    let put = reqwest::Method::PUT;
    alice.insists(put.clone(), &path("state/m.room.topic"), Some(json!({ "topic": "tests" }))).await;
    alice.insists(put.clone(), &path("state/m.room.topic"), Some(json!({ "topic": "more tests" }))).await;
    let redact = path(&format!("redact/{}/r", crate::person::encode(&secret)));
    alice.insists(put, &redact, Some(json!({}))).await;
    bob.insists(reqwest::Method::POST, &path("leave"), Some(json!({}))).await;
    drop(running);
    place
}

/// Damages a copy of the database with `sql`, and answers what is found.
fn found_after(place: &Place, sql: &str) -> String {
    let (from, damaged) = (place.data().join("hearth.db"), place.path("damaged.db"));
    let _ = std::fs::remove_file(&damaged);
    let copied = Connection::open(from)
        .and_then(|whole| whole.execute("VACUUM INTO ?1", [damaged.display().to_string()]));
    copied.expect("a copy of the database");
    let connection = Connection::open(&damaged).expect("the copy opens");
    connection.execute_batch(sql).expect("it can be damaged");
    drop(connection);
    place.configure("damaged.toml", &place.data(), &format!("sqlite:{}", damaged.display()));
    let (fine, said) = said(&place.command(&["verify"], "damaged.toml").output().expect("hearth runs"));
    assert!(!fine, "nothing was found after {sql}");
    said
}

const MESSAGE: &str =
    "(SELECT event_id FROM event WHERE event_type = 'm.room.message' AND redacted_by IS NULL
    ORDER BY pos LIMIT 1)";
const TOPIC: &str = "(SELECT event_id FROM event WHERE event_type = 'm.room.topic' ORDER BY pos LIMIT 1)";

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_damaged_is_named() {
    let place = used().await;
    let fine = place.verified();
    assert!(fine.contains("looked at 1 rooms"), "{fine}");
    let content = "CAST(replace(CAST(json AS TEXT), 'message 0', 'message 9') AS BLOB)";
    let sender = "CAST(replace(CAST(json AS TEXT), '@bob', '@eve') AS BLOB)";
    let cases = [
        (format!("UPDATE event SET json = {content} WHERE event_id = {MESSAGE}"), "is not what was hashed"),
        (
            format!("UPDATE event SET json = {sender} WHERE event_id = {MESSAGE}"),
            "is not what this server signed",
        ),
        (
            format!("UPDATE event SET json = x'7b' WHERE event_id = {MESSAGE}"),
            "is not what this server signed",
        ),
        (
            format!("UPDATE event SET event_id = '$other' WHERE event_id = {MESSAGE}"),
            "$other has the hash of",
        ),
        (
            format!("UPDATE event SET sender = '@eve:localhost' WHERE event_id = {MESSAGE}"),
            "the columns beside",
        ),
        (format!("DELETE FROM event WHERE event_id = {MESSAGE}"), "the room has a hole"),
        (
            format!("UPDATE event SET state_root = zeroblob(25) WHERE event_id = {MESSAGE}"),
            "is another than before",
        ),
        (format!("UPDATE event SET state_root = zeroblob(25) WHERE event_id = {TOPIC}"), "make"),
        (format!("UPDATE event SET replaces = '$other' WHERE event_id = {TOPIC}"), "as replacing $other"),
        (
            "UPDATE event SET redacted_by = '$other' WHERE redacted_by IS NOT NULL".into(),
            "was redacted by $other",
        ),
        (format!("UPDATE room SET head = {MESSAGE}"), "has the head"),
        ("UPDATE room SET joined = 7".into(), "counts 7 members with the membership join, but has 1"),
        ("UPDATE room SET invited = 1".into(), "counts 1 members with the membership invite"),
        ("UPDATE room SET last_pos = 1".into(), "has an event after that"),
        (
            "UPDATE membership SET membership = 'join' WHERE user_id LIKE '@bob%'".into(),
            "has the membership join",
        ),
        ("DELETE FROM membership WHERE user_id LIKE '@bob%'".into(), "has no such membership"),
        ("UPDATE stream SET pos = pos - 1".into(), "would be given out again"),
        ("DELETE FROM stream".into(), "stream"),
        ("INSERT INTO state_node VALUES (zeroblob(25), x'00')".into(), "is not what its name says"),
        ("UPDATE state_node SET bytes = x'00'".into(), "is not what its name says"),
        ("DELETE FROM state_node".into(), "is not there"),
        (
            "INSERT INTO txn VALUES (x'00', 999999, 0)".into(),
            "1 transactions led to events that are not there",
        ),
        (
            "INSERT INTO alias VALUES ('#a:localhost', 99, '@a:localhost', 0)".into(),
            "1 rows of alias belong to rooms",
        ),
    ];
    for (sql, wanted) in cases {
        let said = found_after(&place, &sql);
        assert!(said.contains(wanted), "after {sql}: {said}");
    }
    let orphan = "INSERT INTO state_node SELECT x'000000000141be82bf4e3f3e5bd6ad5bf06d1fe23ca4bf3d27', x'00'";
    assert!(found_after(&place, orphan).contains("belong to no event"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_named() {
    let place = used().await;
    let damaged = place.data().join("hearth.db");
    let connection = Connection::open(&damaged).expect("it opens");
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
        .expect("one file");
    drop(connection);
    let mut bytes = std::fs::read(&damaged).expect("it is there");
    // The root page of an index, somewhere in the middle.
    let page = bytes.len() / 4096 / 2 * 4096;
    bytes[page..page + 64].fill(0xff);
    std::fs::write(&damaged, bytes).expect("it is ours");
    let (fine, said) = said(&place.command(&["verify"], "hearth.toml").output().expect("hearth runs"));
    assert!(!fine, "{said}");
}

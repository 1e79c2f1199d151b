//! `hearth verify` finds each thing that is not as it was written.

use std::fs;

use rules::{
    event::{Draft, Event},
    signing_key::SigningKey,
};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId};
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
    found_after_doing(place, sql, |connection| connection.execute_batch(sql))
}

/// The same with whatever `damages` does.
fn found_after_doing(
    place: &Place,
    what: &str,
    damages: impl FnOnce(&Connection) -> rusqlite::Result<()>,
) -> String {
    let (from, damaged) = (place.data().join("hearth.db"), place.path("damaged.db"));
    let _ = std::fs::remove_file(&damaged);
    let copied = Connection::open(from)
        .and_then(|whole| whole.execute("VACUUM INTO ?1", [damaged.display().to_string()]));
    copied.expect("a copy of the database");
    let connection = Connection::open(&damaged).expect("the copy opens");
    damages(&connection).expect("it can be damaged");
    drop(connection);
    place.configure("damaged.toml", &place.data(), &format!("sqlite:{}", damaged.display()));
    let output = place.command(&["verify"], "damaged.toml").output().expect("hearth runs");
    let (_, said) = said(&output);
    assert_eq!(output.status.code(), Some(1), "after {what}: {said}");
    said
}

/// Adds a message of bob, who has left, that is signed as it should be and names these events as those
/// that allow it.
fn forge(place: &Place, connection: &Connection, auth_events: &[OwnedEventId]) -> rusqlite::Result<()> {
    let key = fs::read_to_string(place.data().join("signing.key")).expect("the key is there");
    let key = SigningKey::from_file(&key).expect("it is a key");
    let (room_id, version, head): (String, String, String) =
        connection.query_row("SELECT room_id, version, head FROM room", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let json: Vec<u8> =
        connection.query_row("SELECT json FROM event WHERE event_id = ?1", [&head], |row| row.get(0))?;
    let last: serde_json::Value = serde_json::from_slice(&json).expect("an event is JSON");
    let rules = rules::versions::rules(&version.as_str().try_into().expect("a version")).expect("a version");
    let content = rules::canonical::object_of(&json!({ "msgtype": "m.text", "body": "I am still here" }));
    let draft = Draft {
        room_id: Some(room_id.try_into().expect("a room id")),
        sender: "@bob:localhost".try_into().expect("a user id"),
        event_type: "m.room.message".to_owned(),
        state_key: None,
        content: content.expect("an object"),
        redacts: None,
        prev_events: vec![head.as_str().try_into().expect("an event id")],
        auth_events: auth_events.to_vec(),
        depth: last["depth"].as_u64().expect("a depth") + 1,
        origin_server_ts: MilliSecondsSinceUnixEpoch(7_u32.into()),
    };
    let server = "localhost".try_into().expect("a server name");
    let event = Event::build(draft, &key, server, rules).expect("an event");
    connection.execute(
        "INSERT INTO event SELECT (SELECT pos + 1 FROM stream), room, ?1, 'm.room.message', NULL,
            '@bob:localhost', 7, ?2, state_root, NULL, NULL, FALSE, FALSE, NULL, NULL, FALSE
         FROM event WHERE event_id = ?3",
        (event.event_id().as_str(), &event.json()[..], &head),
    )?;
    connection.execute("UPDATE stream SET pos = pos + 1", [])?;
    let advance = "UPDATE room SET head = ?1, last_pos = (SELECT pos FROM stream)";
    connection.execute(advance, [event.event_id().as_str()]).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_not_allowed_is_named_however_well_it_is_signed() {
    let place = used().await;
    let whole = Connection::open(place.data().join("hearth.db")).expect("it opens");
    let find = |kind: &str, key: &str, order: &str| -> OwnedEventId {
        let sql = format!(
            "SELECT event_id FROM event WHERE event_type = ?1 AND state_key = ?2 ORDER BY pos {order}"
        );
        let id: String = whole.query_row(&sql, [kind, key], |row| row.get(0)).expect("there is one");
        id.try_into().expect("an event id")
    };
    let levels = find("m.room.power_levels", "", "DESC");
    let (joined, left) = ["ASC", "DESC"].map(|order| find("m.room.member", "@bob:localhost", order)).into();
    let nothing: OwnedEventId = "$nothing".try_into().expect("an event id");
    for (auth_events, wanted) in [
        (vec![levels.clone(), left], "is not allowed"),
        (vec![levels.clone(), joined], "does not name the (m.room.member, \"@bob:localhost\") before it"),
        (vec![levels, nothing], "is not allowed: auth event $nothing is unknown"),
    ] {
        let said = found_after_doing(&place, wanted, |connection| forge(&place, connection, &auth_events));
        assert!(said.contains(wanted) && said.contains("one thing is wrong"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_it_is_is_shown_to_who_looks_and_to_nobody_else() {
    let place = used().await;
    let quiet = place.command(&["verify"], "hearth.toml").output().expect("hearth runs");
    assert_eq!((quiet.status.code(), String::from_utf8_lossy(&quiet.stderr).as_ref()), (Some(0), ""));
    let line = format!("{} verify --config hearth.toml", env!("CARGO_BIN_EXE_hearth"));
    let mut terminal = std::process::Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(place.path("")).env("TERM", "xterm");
    let (fine, shown) = said(&terminal.output().expect("script is installed"));
    assert!(fine && shown.contains("events [") && shown.contains("looked at 1 rooms"), "{shown}");
}

const MESSAGE: &str =
    "(SELECT event_id FROM event WHERE event_type = 'm.room.message' AND redacted_by IS NULL
    ORDER BY pos LIMIT 1)";
const TOPIC: &str = "(SELECT event_id FROM event WHERE event_type = 'm.room.topic' ORDER BY pos LIMIT 1)";

/// What can be damaged of events and rooms, and what is then found.
fn damages_of_events() -> Vec<(String, &'static str)> {
    let content = "CAST(replace(CAST(json AS TEXT), 'message 0', 'message 9') AS BLOB)";
    let sender = "CAST(replace(CAST(json AS TEXT), '@bob', '@eve') AS BLOB)";
    vec![
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
    ]
}

/// The same of everything else.
fn damages_of_tables() -> Vec<(String, &'static str)> {
    vec![
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
            "1 rows of txn lead to events that are not there",
        ),
        (
            "INSERT INTO alias VALUES ('#a:localhost', 99, '@a:localhost', 0)".into(),
            "1 rows of alias belong to rooms",
        ),
        (
            "INSERT INTO threepid VALUES ('email', 'a@b.c', '@nobody:localhost', 0, 0)".into(),
            "1 rows of threepid belong to accounts",
        ),
        (
            "INSERT INTO threepid_binding VALUES ('@nobody:localhost', 'email', 'a@b.c', 'b.c')".into(),
            "1 rows of threepid_binding belong to accounts",
        ),
        ("DELETE FROM device WHERE user_id LIKE '@bob%'".into(), "1 rows of access_token belong to accounts"),
        ("DELETE FROM account WHERE user_id LIKE '@bob%'".into(), "1 rows of device belong to accounts"),
        (
            format!("DELETE FROM state_node WHERE name = (SELECT state_root FROM event WHERE event_id = {TOPIC})"),
            "is not there",
        ),
        (
            "PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, '''join''', '''leave''') WHERE name = 'membership_joined'"
                .into(),
            "the database file is damaged",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_damaged_is_named() {
    let place = used().await;
    let fine = place.verified();
    assert!(fine.contains("looked at 1 rooms"), "{fine}");
    for (sql, wanted) in damages_of_events().into_iter().chain(damages_of_tables()) {
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

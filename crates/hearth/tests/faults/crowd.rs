//! Clients that are slow, dead or many. Those who behave notice nothing.

use std::time::Duration;

use reqwest::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    person::{Person, encode, text},
    place::Place,
};

/// Connections that send nothing.
const SILENT_MAX: u64 = 10_000;
/// File descriptors that the test needs for itself.
const DESCRIPTORS_RESERVED: u64 = 600;
/// What a connection that sends nothing may cost, in KiB.
const SILENT_KB_MAX: u64 = 16;
/// Clients that are slow in some other way.
const SLOW: usize = 50;

async fn connect(place: &Place) -> TcpStream {
    TcpStream::connect(place.base.trim_start_matches("http://")).await.expect("it listens")
}

/// How many connections this process can hold, with as many file descriptors as it is given.
fn connections_max() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    descriptors.saturating_sub(DESCRIPTORS_RESERVED).min(SILENT_MAX)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_send_nothing_hurt_nobody() {
    let count = connections_max();
    let place = Place::on_sqlite();
    let mut running = place.start();
    let alice = Person::registers(&place, "alice").await;
    let room = alice.creates_room().await;
    alice.says(&room, "warm").await;
    let before_kb = running.resident_kb();
    let mut silent = Vec::new();
    for n in 0..count {
        let mut stream = connect(&place).await;
        // Some begin a request and do not go on.
        if n % 3 == 1 {
            stream.write_all(b"GET /_matrix/client/versions HTTP/1.1\r\nhost").await.expect("it reads");
        }
        silent.push(stream);
    }
    for n in 0..50 {
        alice.says(&room, &format!("message {n}")).await;
    }
    assert_eq!(alice.history(&room).await.len(), 51);
    let each_kb = running.resident_kb().saturating_sub(before_kb) / count.max(1);
    assert!(each_kb <= SILENT_KB_MAX, "{count} silent connections take {each_kb} KiB each");
    let mut said = Vec::new();
    // They are gone by themselves; a reset is an end, too.
    let _ = silent.remove(0).read_to_end(&mut said).await;
    assert!(said.is_empty());
    alice.says(&room, "after").await;
    assert!(running.lives());
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_endless_headers_and_readers_who_do_not_read_hurt_nobody() {
    let place = Place::on_sqlite();
    let mut running = place.start();
    let (alice, bob) = (Person::registers(&place, "alice").await, Person::registers(&place, "bob").await);
    let room = alice.creates_room().await;
    let long = "a long message ".repeat(2_000);
    for n in 0..40 {
        let (path, body) = Person::message(&room, &n.to_string(), &long);
        alice.insists(Method::PUT, &path, Some(body)).await;
    }
    let before_kb = running.resident_kb();
    let mut slow = Vec::new();
    for n in 0..SLOW {
        let mut body = connect(&place).await;
        let head = format!(
            "PUT /_matrix/client/v3/rooms/{}/send/m.room.message/slow{n} HTTP/1.1\r\nhost: a\r\n\
             authorization: Bearer {}\r\ncontent-length: 60000\r\n\r\n{{\"body\":",
            encode(&room),
            alice.token
        );
        body.write_all(head.as_bytes()).await.expect("it reads");
        // Each answer is more than a megabyte, of which nobody reads anything.
        let mut reader = connect(&place).await;
        let filter = encode(r#"{"room":{"timeline":{"limit":100}}}"#);
        let ask = format!(
            "GET /_matrix/client/v3/sync?timeout=0&filter={filter} HTTP/1.1\r\nhost: a\r\n\
             authorization: Bearer {}\r\n\r\n",
            alice.token
        );
        reader.write_all(ask.as_bytes()).await.expect("it reads");
        slow.extend([body, reader]);
    }
    let endless = tokio::spawn(endless_headers(connect(&place).await));
    let room = bob.creates_room().await;
    for n in 0..50 {
        bob.says(&room, &format!("message {n}")).await;
    }
    assert!(!text(&bob.syncs("", "timeout=0").await, "next_batch").is_empty());
    let taken_kb = running.resident_kb().saturating_sub(before_kb);
    assert!(taken_kb < 2_048 * SLOW as u64, "{SLOW} of each take {taken_kb} KiB");
    let sent = endless.await.expect("no panic");
    assert!(sent < 1 << 20, "{sent} bytes of headers were taken");
    assert!(running.lives());
    drop(slow);
    bob.says(&room, "after").await;
}

/// Sends headers until the server has had enough; answers how many bytes that took.
async fn endless_headers(mut stream: TcpStream) -> usize {
    let mut sent = 0;
    let begun = b"GET /_matrix/client/versions HTTP/1.1\r\nhost: a\r\n";
    if stream.write_all(begun).await.is_err() {
        return sent;
    }
    loop {
        let header = format!("x-{sent}: {}\r\n", "y".repeat(1_000));
        if stream.write_all(header.as_bytes()).await.is_err() {
            return sent;
        }
        sent += header.len();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

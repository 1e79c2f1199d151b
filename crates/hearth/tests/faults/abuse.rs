//! Clients that speak HTTP as nobody should. The server takes little for it, and others notice nothing.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::{
    person::{Person, encode, text},
    place::{Place, Running},
};

/// What a crowd of them may take, in KiB.
const TAKEN_KB_MAX: u64 = 96 * 1024;
/// What a body of at most two megabytes may take, and others meanwhile, in KiB. With 64 bytes for each of its
/// pieces it would be more.
const PIECES_KB_MAX: u64 = 24 * 1024;
/// Each of these abuses is tried by so many connections at once.
const CROWD: usize = 8;
/// When a write that nobody reads has been waited for long enough.
const STUCK: Duration = Duration::from_secs(2);

/// A server, somebody who suffers there, and a room with long messages.
struct Scene {
    place: Place,
    running: Running,
    alice: Person,
    room: String,
    before_kb: u64,
}

impl Scene {
    async fn begin() -> Self {
        let place = Place::on_sqlite();
        let running = place.start();
        let alice = Person::registers(&place, "alice").await;
        let room = alice.creates_room().await;
        let long = "a long message ".repeat(2_000);
        for n in 0..40 {
            let (path, body) = Person::message(&room, &n.to_string(), &long);
            alice.insists(reqwest::Method::PUT, &path, Some(body)).await;
        }
        let before_kb = running.resident_kb();
        Scene { place, running, alice, room, before_kb }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.place.base.trim_start_matches("http://")).await.expect("it listens")
    }

    /// The path of an answer of more than a megabyte.
    fn large(&self) -> String {
        format!("/_matrix/client/v3/rooms/{}/messages?dir=b&limit=100", encode(&self.room))
    }

    /// Others are served, and not much memory is taken.
    async fn is_unhurt(&mut self) {
        let bob = Person::registers(&self.place, "bob").await;
        let room = bob.creates_room().await;
        for n in 0..20 {
            bob.says(&room, &format!("message {n}")).await;
        }
        assert!(!text(&bob.syncs("", "timeout=0").await, "next_batch").is_empty());
        let taken_kb = self.running.resident_kb().saturating_sub(self.before_kb);
        assert!(taken_kb < TAKEN_KB_MAX, "{taken_kb} KiB were taken");
        assert!(self.running.lives());
    }
}

/// Writes as long as somebody reads, at most so many bytes; answers how many were taken.
async fn pour(stream: &mut TcpStream, bytes: &[u8], bytes_max: usize) -> usize {
    let mut taken = 0;
    while taken < bytes_max {
        match timeout(STUCK, stream.write(&bytes[taken % bytes.len()..])).await {
            Ok(Ok(length)) if length > 0 => taken += length,
            _ => break,
        }
    }
    taken
}

/// What the peer says until it closes.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut said).await;
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_in_pieces_of_one_byte_take_what_they_say_and_no_more() {
    let mut scene = Scene::begin().await;
    let before_kb = scene.running.peak_kb();
    let mut stream = scene.connect().await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        format_args!("/_matrix/client/v3/rooms/{}/send/m.room.message/x", encode(&scene.room)),
        scene.alice.token
    );
    let pouring = tokio::spawn(async move {
        stream.write_all(head.as_bytes()).await.expect("it reads");
        // Half a megabyte, which is allowed.
        let pieces = b"1\r\nx\r\n".repeat(512 * 1024);
        let long = format!("400\r\n{}\r\n", "x".repeat(0x400));
        let (mut answers, mut asks) = stream.split();
        let endless = async {
            let mut asked = asks.write_all(&pieces).await;
            while asked.is_ok() {
                asked = asks.write_all(long.as_bytes()).await;
            }
        };
        tokio::join!(endless, read_to_end(&mut answers)).1
    });
    scene.is_unhurt().await;
    // What goes on for ever is told that it is too long, or on a machine that has much to do that it takes
    // too long.
    let said = String::from_utf8_lossy(&pouring.await.expect("no panic")).into_owned();
    let is_told = ["", "HTTP/1.1 413", "HTTP/1.1 408"].contains(&said.get(..12).unwrap_or_default());
    assert!(is_told, "{said}");
    let taken_kb = scene.running.peak_kb() - before_kb;
    assert!(taken_kb < PIECES_KB_MAX, "{taken_kb} KiB were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_large_bodies_get_no_more_than_their_part_of_the_memory() {
    let mut scene = Scene::begin().await;
    let body = vec![b' '; 1_900_000];
    let mut held = Vec::new();
    for n in 0..250 {
        let mut stream = scene.connect().await;
        let (token, path) = match n % 2 {
            0 => ("", "/_matrix/client/v3/login"),
            _ => (&*scene.alice.token, "/_matrix/client/v3/createRoom"),
        };
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 2000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it reads");
        // Who is refused may be closed before all of it is there.
        let _ = stream.write_all(&body).await;
        held.push(stream);
    }
    let grown_kb = scene.running.resident_kb().saturating_sub(scene.before_kb);
    assert!(grown_kb < 320 * 1024, "{grown_kb} KiB were taken for 475 MB of bodies");
    let bob = Person::registers(&scene.place, "bob").await;
    bob.says(&bob.creates_room().await, "what is small goes through").await;
    drop(held);
    assert!(scene.running.lives());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_on_and_on_and_reads_no_answer_is_not_listened_to() {
    let mut scene = Scene::begin().await;
    let ask = format!(
        "GET {} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n",
        scene.large(),
        scene.alice.token
    );
    let asks = ask.repeat(1_000).into_bytes();
    let mut pouring = JoinSet::new();
    for _ in 0..CROWD {
        let (mut stream, asks) = (scene.connect().await, asks.clone());
        pouring.spawn(async move {
            let taken = pour(&mut stream, &asks, 256 << 20).await;
            assert!(taken < 64 << 20, "{taken} bytes of questions were taken");
            stream
        });
    }
    let held = pouring.join_all().await;
    scene.is_unhurt().await;
    drop(held);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A text in a block of headers, without compression.
fn literal(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap_or(0));
    } else {
        block.extend([127, u8::try_from((length - 127) % 128).unwrap_or(0) | 128]);
        block.push(u8::try_from((length - 127) / 128).unwrap_or(0));
    }
    block.extend(text.as_bytes());
}

/// The headers of a request.
fn headers(method: u8, path: &str, token: &str) -> Vec<u8> {
    // From the static table: the method, http, and the names :path, :authority and authorization.
    let mut block = vec![method, 0x86, 0x04];
    literal(&mut block, path);
    block.push(0x01);
    literal(&mut block, "a");
    block.extend([0x0f, 0x08]);
    literal(&mut block, &format!("Bearer {token}"));
    block
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

impl Scene {
    /// A connection that speaks HTTP/2, with these settings.
    async fn connect_h2(&self, settings: &[u8]) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it reads");
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.expect("it reads");
        stream
    }

    /// Has a crowd of connections send these bytes, as far as they are taken.
    async fn crowd(&self, settings: &[u8], bytes: Vec<u8>) -> Vec<(TcpStream, usize)> {
        let (mut pouring, bytes) = (JoinSet::new(), Arc::new(bytes));
        for _ in 0..CROWD {
            let (mut stream, bytes) = (self.connect_h2(settings).await, bytes.clone());
            pouring.spawn(async move {
                let taken = pour(&mut stream, &bytes, bytes.len()).await;
                (stream, taken)
            });
        }
        pouring.join_all().await
    }
}

/// The number of the `n`th stream that a client opens.
fn nth(n: u32) -> u32 {
    2 * n + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_taken_back_at_once_hurt_nobody() {
    let mut scene = Scene::begin().await;
    let ask = headers(GET, &scene.large(), &scene.alice.token);
    let reset = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let both = |stream| [frame(HEADERS, END_STREAM | END_HEADERS, stream, &ask), reset(stream)].concat();
    let held = scene.crowd(&[], (0..2_000).map(nth).flat_map(both).collect()).await;
    scene.is_unhurt().await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_streams_that_do_not_end_hurt_nobody() {
    let mut scene = Scene::begin().await;
    let ask = headers(POST, "/_matrix/client/v3/createRoom", &scene.alice.token);
    let begun = |stream| [frame(HEADERS, END_HEADERS, stream, &ask), frame(DATA, 0, stream, b"{")].concat();
    let held = scene.crowd(&[], (0..2_000).map(nth).flat_map(begun).collect()).await;
    scene.is_unhurt().await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_a_window_keeps_back_hurt_nobody() {
    let mut scene = Scene::begin().await;
    let ask = headers(GET, &scene.large(), &scene.alice.token);
    let ask = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &ask);
    // SETTINGS_INITIAL_WINDOW_SIZE is nothing at all: each answer is more than a megabyte, and waits.
    let held = scene.crowd(&[0, 4, 0, 0, 0, 0], (0..100).map(nth).flat_map(ask).collect()).await;
    scene.is_unhurt().await;
    // Now and then a byte.
    let mut games = JoinSet::new();
    for (mut stream, _) in held {
        games.spawn(async move {
            let more = |n: u32| frame(WINDOW_UPDATE, 0, nth(n % 100), &1_u32.to_be_bytes());
            let more: Vec<u8> = (0..2_000).flat_map(more).collect();
            pour(&mut stream, &more, more.len()).await;
            stream
        });
    }
    let held = games.join_all().await;
    scene.is_unhurt_by_now().await;
    drop(held);
}

impl Scene {
    /// The same once more.
    async fn is_unhurt_by_now(&mut self) {
        let room = self.alice.creates_room().await;
        self.alice.says(&room, "after").await;
        let taken_kb = self.running.resident_kb().saturating_sub(self.before_kb);
        assert!(taken_kb < TAKEN_KB_MAX, "{taken_kb} KiB were taken");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_go_on_for_ever_are_not_read_for_ever() {
    let mut scene = Scene::begin().await;
    let ask = headers(GET, "/_matrix/client/versions", "");
    let mut piece = Vec::new();
    while piece.len() < 15_000 {
        piece.push(0);
        literal(&mut piece, "x-header");
        literal(&mut piece, &"y".repeat(100));
    }
    let begun = frame(HEADERS, END_STREAM, 1, &ask);
    let long = [begun.clone(), frame(CONTINUATION, 0, 1, &piece).repeat(1_000)].concat();
    for (_, taken) in scene.crowd(&[], long).await {
        assert!(taken < 8 << 20, "{taken} bytes of headers were taken");
    }
    // Empty ones are no better.
    let empty = [begun, frame(CONTINUATION, 0, 1, &[]).repeat(1_000_000)].concat();
    let held = scene.crowd(&[], empty).await;
    assert!(held.iter().all(|(_, taken)| *taken < 9_000_000), "empty frames are read on and on");
    scene.is_unhurt().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_whose_answers_nobody_reads_hurt_nobody() {
    let mut scene = Scene::begin().await;
    let both = [frame(PING, 0, 0, b"are you?"), frame(SETTINGS, 0, 0, &[])].concat();
    let held = scene.crowd(&[], both.repeat(50_000)).await;
    scene.is_unhurt().await;
    drop(held);
}

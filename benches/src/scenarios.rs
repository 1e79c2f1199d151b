//! What is measured. Every scenario checks every answer.

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::future::{try_join, try_join_all};
use http::Method;
use serde_json::{Value, json};

use crate::{
    Outcome,
    crowd::{all_send, timed, users},
    figure::{Figure, Measure},
    growth,
    http::{User, encode},
    server::Server,
};

/// Measures on a server, at a size.
type Scenario = for<'a> fn(&'a Server, usize) -> Pin<Box<dyn Future<Output = Outcome<Vec<Figure>>> + 'a>>;

/// All scenarios with their names, in order.
pub(crate) fn all() -> Vec<(&'static str, Scenario)> {
    vec![
        ("send", |server, _| Box::pin(send(server))),
        ("growth", |server, _| Box::pin(growth::histories(server))),
        ("fan-out", |server, size| Box::pin(large_room(server, size))),
        ("account", |server, size| Box::pin(large_account(server, size))),
        ("history", |server, _| Box::pin(history(server))),
        ("mutual", |server, size| Box::pin(mutual(server, size))),
        ("members", |server, size| Box::pin(growth::memberships(server, size))),
        ("idle", |server, size| Box::pin(idle(server, size))),
    ]
}

async fn send(server: &Server) -> Outcome<Vec<Figure>> {
    const EACH: usize = 200;
    let mut users = users(server, "sender", 64).await?;
    let mut rooms = Vec::new();
    for user in &mut users[..20] {
        rooms.push(user.create_room("a room of one's own").await?);
    }
    for user in &mut users {
        for room in &rooms {
            user.join(room).await?;
        }
    }
    let mut figures = Vec::new();
    let bytes_before = server.database_bytes()?;
    for (name, senders, rooms) in [
        ("send, 16 senders in 16 rooms", 16, &rooms[..16]),
        ("send, 16 senders in one room", 16, &rooms[..1]),
        ("send, 64 senders in 20 rooms", 64, &rooms[..]),
        ("send, 64 senders in one room", 64, &rooms[..1]),
    ] {
        let measure = Measure::begin(server)?;
        let taken = all_send(&mut users[..senders], rooms, EACH).await?;
        figures.push(measure.end(name, senders * EACH, taken)?);
    }
    if let (Some(before), Some(after)) = (bytes_before, server.database_bytes()?) {
        let each = (after.saturating_sub(before)) as usize / ((16 + 16 + 64 + 64) * EACH);
        let measure = Measure::begin(server)?;
        figures.push(measure.end(format!("on disk: {each} bytes for each message"), 0, vec![])?);
    }
    Ok(figures)
}

async fn large_room(server: &Server, size: usize) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut owner = User::register(server, "owner").await?;
    let room = owner.create_room("a large room").await?;
    let mut members = users(server, "member", size).await?;
    for (name, some) in [("first", 0..100.min(size)), ("last", size.saturating_sub(100)..size)] {
        let middle = 100.min(size)..size.saturating_sub(100);
        if name == "last" {
            for member in &mut members[middle] {
                member.join(&room).await?;
            }
        }
        let measure = Measure::begin(server)?;
        let mut taken = Vec::new();
        for member in &mut members[some] {
            taken.push(timed(member.join(&room)).await?);
        }
        let joins = taken.len();
        figures.push(measure.end(format!("join, {name} {joins} of {size}"), joins, taken)?);
    }
    figures.push(state_events(server, &mut owner, &room, size).await?);
    let rooms = [room.clone()];
    figures.push(growth::sending(server, &mut members, &rooms, &format!("{size} members")).await?);
    figures.extend(read_room(server, &mut owner, &room, size).await?);
    figures.push(fan_out(server, &mut owner, &mut members, &room).await?);
    Ok(figures)
}

async fn state_events(server: &Server, owner: &mut User, room: &str, size: usize) -> Outcome<Figure> {
    let path = format!("/v3/rooms/{}/state/m.room.topic/", encode(room));
    let measure = Measure::begin(server)?;
    let mut taken = Vec::new();
    for n in 0..100 {
        let body = json!({ "topic": format!("topic {n}") });
        taken.push(timed(owner.json(Method::PUT, &path, Some(&body))).await?);
    }
    measure.end(format!("state event in a room of {size}"), 100, taken)
}

async fn read_room(server: &Server, owner: &mut User, room: &str, size: usize) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, path) in [
        (format!("GET state of {size} members"), "state"),
        (format!("GET joined_members of {size}"), "joined_members"),
    ] {
        let path = format!("/v3/rooms/{}/{path}", encode(room));
        let answer = owner.json(Method::GET, &path, None).await?;
        let members = answer["joined"].as_object().map_or_else(
            || answer.as_array().into_iter().flatten().filter(|e| e["type"] == "m.room.member").count(),
            serde_json::Map::len,
        );
        if members != size + 1 {
            return Err(format!("{path} shows {members} members").into());
        }
        let measure = Measure::begin(server)?;
        let mut taken = Vec::new();
        for _ in 0..20 {
            taken.push(timed(owner.call(Method::GET, &path, None)).await?);
        }
        figures.push(measure.end(name, 20, taken)?);
    }
    Ok(figures)
}

/// One message at a time to all members, each of whom waits in a long poll.
async fn fan_out(server: &Server, owner: &mut User, members: &mut [User], room: &str) -> Outcome<Figure> {
    const MESSAGES: usize = 30;
    let quiet = encode(
        r#"{"room":{"timeline":{"limit":10},"state":{"lazy_load_members":true}},"presence":{"types":[]}}"#,
    );
    let first = format!("/v3/sync?timeout=0&filter={quiet}");
    let before_kb = server.resident_kb()?;
    let mut since = Vec::new();
    for member in members.iter_mut() {
        let answer = member.json(Method::GET, &first, None).await?;
        since.push(crate::http::text(&answer, "next_batch")?);
    }
    let begun = Instant::now();
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let count = members.len();
    let measure = Measure::begin(server)?;
    let listening = try_join_all(members.iter_mut().zip(since).map(|(member, mut since)| {
        let (heard, quiet) = (heard.clone(), &quiet);
        async move {
            let mut seen = 0;
            while seen < MESSAGES {
                let path = format!("/v3/sync?since={}&timeout=30000&filter={quiet}", encode(&since));
                let answer = member.json(Method::GET, &path, None).await?;
                since = crate::http::text(&answer, "next_batch")?;
                for event in
                    answer["rooms"]["join"][room]["timeline"]["events"].as_array().into_iter().flatten()
                {
                    if event["content"]["body"] != json!(format!("to all {seen}")) {
                        return Err(format!("lost or doubled: {event} where {seen} was due").into());
                    }
                    heard.send((seen, begun.elapsed()))?;
                    seen += 1;
                }
            }
            Outcome::Ok(())
        }
    }));
    let speaking = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let each = server.resident_kb()?.saturating_sub(before_kb) as f64 / count as f64;
        let mut reached = Vec::new();
        for message in 0..MESSAGES {
            let said = begun.elapsed();
            owner.say(room, &format!("to all {message}")).await?;
            for _ in 0..count {
                let (_, at) = hears.recv().await.ok_or("nobody listens")?;
                reached.push(at.saturating_sub(said));
            }
        }
        Outcome::Ok((each, reached))
    };
    let (_, (each, reached)) = try_join(listening, speaking).await?;
    let name = format!("delivery to one of {count} who wait, {each:.1} KB for each");
    measure.end(name, MESSAGES * count, reached)
}

async fn large_account(server: &Server, size: usize) -> Outcome<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut alice = User::register(server, "collector").await?;
    let mut bob = User::register(server, "visitor").await?;
    let measure = Measure::begin(server)?;
    let (mut rooms, mut taken) = (Vec::new(), Vec::new());
    for n in 0..size {
        let begun = Instant::now();
        rooms.push(alice.create_room(&format!("room {n}")).await?);
        taken.push(begun.elapsed());
    }
    figures.push(measure.end("createRoom", size, taken)?);
    bob.join(&rooms[0]).await?;
    let (mut since, whole) = alice.sync("", 0).await?;
    if whole["rooms"]["join"].as_object().map(serde_json::Map::len) != Some(size) {
        return Err("an initial sync lacks rooms".into());
    }
    let measure = Measure::begin(server)?;
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(timed(alice.call(Method::GET, "/v3/sync?timeout=0", None)).await?);
    }
    figures.push(measure.end(format!("initial sync of {size} rooms"), 5, taken)?);
    let mut measure = Measure::begin(server)?;
    let mut taken = Vec::new();
    for n in 0..200 {
        measure.pause(server)?;
        bob.say(&rooms[0], &format!("news {n}")).await?;
        measure.go_on(server)?;
        let begun = Instant::now();
        let (next, answer) = alice.sync(&since, 0).await?;
        taken.push(begun.elapsed());
        since = next;
        expect_one(&answer, &rooms[0])?;
    }
    figures.push(measure.end(format!("incremental sync of {size} rooms, one new event"), 200, taken)?);
    Ok(figures)
}

fn expect_one(answer: &Value, room: &str) -> Outcome<()> {
    match answer["rooms"]["join"][room]["timeline"]["events"].as_array().map(Vec::len) {
        Some(1) => Ok(()),
        other => Err(format!("{other:?} events where one was due").into()),
    }
}

async fn history(server: &Server) -> Outcome<Vec<Figure>> {
    let mut user = User::register(server, "historian").await?;
    let room = user.create_room("a long history").await?;
    for n in 0..5_000 {
        user.say(&room, &format!("line {n} of the history")).await?;
    }
    let path = format!("/v3/rooms/{}/messages?dir=b&limit=100", encode(&room));
    let measure = Measure::begin(server)?;
    let (mut from, mut taken, mut lines) = (String::new(), Vec::new(), 0);
    loop {
        let begun = Instant::now();
        let answer = user.json(Method::GET, &format!("{path}{from}"), None).await?;
        taken.push(begun.elapsed());
        lines += answer["chunk"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|e| e["type"] == "m.room.message")
            .count();
        match answer["end"].as_str() {
            Some(end) => from = format!("&from={}", encode(end)),
            None => break,
        }
    }
    if lines != 5_000 {
        return Err(format!("{lines} lines of 5000").into());
    }
    let pages = taken.len();
    Ok(vec![measure.end("/messages, pages of 100 of 5,000", pages, taken)?])
}

async fn mutual(server: &Server, size: usize) -> Outcome<Vec<Figure>> {
    let mut left = User::register(server, "left").await?;
    let mut right = User::register(server, "right").await?;
    for n in 0..size {
        let room = left.create_room("of the left one").await?;
        match n < size / 2 {
            true => right.join(&room).await?,
            false => drop(right.create_room("of the right one").await?),
        }
    }
    let path = format!("/v1/mutual_rooms?user_id={}", encode(&right.user_id));
    let measure = Measure::begin(server)?;
    let mut taken = Vec::new();
    for _ in 0..50 {
        let (mut from, mut found) = (String::new(), 0);
        let begun = Instant::now();
        loop {
            let answer = left.json(Method::GET, &format!("{path}{from}"), None).await?;
            found += answer["joined"].as_array().map_or(0, Vec::len);
            match answer["next_batch"].as_str() {
                Some(next) => from = format!("&from={}", encode(next)),
                None => break,
            }
        }
        taken.push(begun.elapsed());
        if found != size / 2 {
            return Err(format!("{found} mutual rooms").into());
        }
    }
    Ok(vec![measure.end(format!("mutual rooms, {} of {size} of each, all batches", size / 2), 50, taken)?])
}

/// Long polls that wait for nothing: what each costs in memory, and all of them in a second.
async fn idle(server: &Server, size: usize) -> Outcome<Vec<Figure>> {
    const QUIET: Duration = Duration::from_secs(10);
    let users = users(server, "idler", size * 5).await?;
    // Hashing passwords takes memory, which long polls would then take without growth.
    server.restart().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before_kb = server.resident_kb()?;
    let mut waiting = Vec::new();
    for user in users {
        let mut user = user.again(server).await?;
        let (since, _) = user.sync("", 0).await?;
        waiting.push(tokio::spawn(async move { user.sync(&since, 120_000).await.map(drop) }));
    }
    // Until it is written that all of them are about.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let count = waiting.len();
    let each = (server.resident_kb()?.saturating_sub(before_kb)) as f64 / count as f64;
    let measure = Measure::begin(server)?;
    tokio::time::sleep(QUIET).await;
    let before = before_kb as f64 / 1024.0;
    let name = format!(
        "{count} users wait: {each:.1} KB each, {before:.1} MB without them; CPU per second of waiting"
    );
    let figure = measure.end(name, QUIET.as_secs() as usize, vec![])?;
    if waiting.iter().any(tokio::task::JoinHandle::is_finished) {
        return Err("a long poll came back without cause".into());
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(vec![figure])
}

//! A database of many events: how long the server takes to start with it and what it takes at rest, what
//! it costs to verify it and to copy it, and what it takes on disk.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use http::Method;
use serde_json::json;

use crate::{
    Outcome, crowd,
    figure::Figure,
    http::{User, encode, text},
    server::Server,
};

/// Users who fill the rooms, at the same time, and are in all of them.
const SENDERS: usize = 64;
/// Rooms that are filled.
const ROOMS: usize = 100;
/// One event in so many is a state event.
const STATE_EVERY: usize = 20;
/// How long the server rests before it is looked at.
const REST: Duration = Duration::from_secs(5);
/// Starts that are measured.
const STARTS: usize = 5;

/// Fills the database with so many events over HTTP, and measures.
pub(crate) async fn archive(server: &Server, events: usize) -> Outcome<Vec<Figure>> {
    let begun = Instant::now();
    let mut senders = crowd::users(server, "archivist", SENDERS).await?;
    let rooms = make_rooms(&mut senders).await?;
    let bytes_before = server.database_bytes()?;
    let each = events.saturating_sub(ROOMS * (SENDERS + 8)) / SENDERS;
    let mut figures = vec![fill(server, &mut senders, &rooms, each).await?];
    let filled = format!("{events} events, filled in {:.0} s", begun.elapsed().as_secs_f64());
    if let Some((after, before)) = server.database_bytes()?.zip(bytes_before) {
        let name =
            format!("{filled}: {} bytes for each on disk", (after - before) as usize / (each * SENDERS));
        figures.push(Figure::of(name, events, Duration::ZERO, vec![], server.resident_kb()?));
    }
    let mut taken = Vec::new();
    for _ in 0..STARTS {
        server.restart().await?;
        taken.push(server.started_in());
    }
    let cpu = server.cpu()?;
    figures.push(Figure::of("start, to the first answer", 1, cpu, taken, server.resident_kb()?));
    tokio::time::sleep(REST).await;
    figures.push(Figure::of("at rest after that", 1, Duration::ZERO, vec![], server.resident_kb()?));
    for command in ["verify", "backup"] {
        let ran = server.run(command).await?;
        let name = format!("hearth {command} while it runs");
        figures.push(Figure::of(name, events, ran.cpu, vec![ran.wall], ran.peak_kb));
    }
    Ok(figures)
}

async fn make_rooms(senders: &mut [User]) -> Outcome<Vec<String>> {
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        let ask = json!({
            "preset": "public_chat", "name": format!("archive {n}"),
            "power_level_content_override": { "state_default": 0 },
        });
        let room = senders[n % SENDERS].json(Method::POST, "/v3/createRoom", Some(&ask)).await?;
        rooms.push(text(&room, "room_id")?);
    }
    let joining = senders.iter_mut().map(async |sender| {
        for room in &rooms {
            sender.join(room).await?;
        }
        Outcome::Ok(())
    });
    try_join_all(joining).await?;
    Ok(rooms)
}

/// Every sender sends so many events, to one room after the other.
async fn fill(server: &Server, senders: &mut [User], rooms: &[String], each: usize) -> Outcome<Figure> {
    let (begun, cpu) = (Instant::now(), server.cpu()?);
    let filling = senders.iter_mut().enumerate().map(async |(n, sender)| {
        for message in 0..each {
            let room = &rooms[(n + message) % rooms.len()];
            let said = format!("message {message} of a long conversation");
            if message.is_multiple_of(STATE_EVERY) {
                let path = format!("/v3/rooms/{}/state/m.room.topic", encode(room));
                sender.json(Method::PUT, &path, Some(&json!({ "topic": said }))).await?;
            } else {
                sender.say(room, &said).await?;
            }
        }
        Outcome::Ok(())
    });
    try_join_all(filling).await?;
    let wall = begun.elapsed();
    let cpu = server.cpu()?.saturating_sub(cpu);
    let name = format!("send, {SENDERS} senders in {ROOMS} rooms, every {STATE_EVERY}th is state");
    Ok(Figure::of(name, each * senders.len(), cpu, vec![], server.resident_kb()?).in_all(wall))
}

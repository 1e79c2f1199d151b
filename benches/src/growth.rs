//! What must not grow: sending with the history of a room, a change of membership with its members.

use http::Method;
use serde_json::json;

use crate::{
    Outcome,
    crowd::{all_send, timed, users},
    figure::{Figure, Measure},
    http::{User, encode},
    server::Server,
};

/// Users who send at once.
const SENDERS: usize = 16;
/// Messages of each while it is measured.
const EACH: usize = 50;

/// Sending in one room, measured after each of these many events.
pub(crate) async fn histories(server: &Server) -> Outcome<Vec<Figure>> {
    let mut senders = users(server, "writer", SENDERS).await?;
    let room = senders[0].create_room("a growing room").await?;
    for sender in &mut senders {
        sender.join(&room).await?;
    }
    let rooms = [room];
    let (mut figures, mut sent) = (Vec::new(), 0);
    for events in [200, 2_000, 20_000] {
        let missing = (events - sent) / SENDERS;
        all_send(&mut senders, &rooms, missing).await?;
        figures.push(sending(server, &mut senders, &rooms, &format!("{events} events")).await?);
        sent += (missing + EACH) * SENDERS;
    }
    Ok(figures)
}

/// Some of `senders` send into the one room, which has grown as `what` says.
pub(crate) async fn sending(
    server: &Server,
    senders: &mut [User],
    rooms: &[String],
    what: &str,
) -> Outcome<Figure> {
    let count = SENDERS.min(senders.len());
    let measure = Measure::begin(server)?;
    let taken = all_send(&mut senders[..count], rooms, EACH).await?;
    measure.end(format!("send, {count} senders in a room of {what}"), count * EACH, taken)
}

/// Invitations into one room: what the first and the last hundred of `size` cost, on disk too.
pub(crate) async fn memberships(server: &Server, size: usize) -> Outcome<Vec<Figure>> {
    const MEASURED: usize = 100;
    let mut host = User::register(server, "host").await?;
    let room = host.create_room("a guest list").await?;
    let path = format!("/v3/rooms/{}/invite", encode(&room));
    let mut figures = Vec::new();
    let mut invited = 0;
    for upto in [MEASURED.min(size), size] {
        while invited + MEASURED < upto {
            invite(&mut host, &path, invited).await?;
            invited += 1;
        }
        let bytes_before = server.database_bytes()?;
        let measure = Measure::begin(server)?;
        let mut taken = Vec::new();
        while invited < upto {
            taken.push(timed(invite(&mut host, &path, invited)).await?);
            invited += 1;
        }
        let changes = taken.len();
        let bytes = server.database_bytes()?.zip(bytes_before).map(|(after, before)| after - before);
        let on_disk =
            bytes.map_or(String::new(), |bytes| format!(", {} bytes each", bytes as usize / changes.max(1)));
        figures.push(measure.end(format!("change of membership among {upto}{on_disk}"), changes, taken)?);
    }
    Ok(figures)
}

async fn invite(host: &mut User, path: &str, n: usize) -> Outcome<()> {
    let body = json!({ "user_id": format!("@guest{n}:bench.test") });
    host.json(Method::POST, path, Some(&body)).await.map(drop)
}

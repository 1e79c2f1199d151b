//! Fills a new database with events, for measures of starting, verifying and backing up:
//! `cargo run --release -p hearth --example many_events -- FILE 1000000`, where FILE is a configuration.
//! They are real events, built, authorised and signed like any other.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::{path::Path, time::Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use hearth::{config, start};
use homeserver::{
    Home,
    accounts::{register, sessions},
    rooms::{self, Intent},
    who::{Device, Kind},
};
use ruma::{CanonicalJsonObject, CanonicalJsonValue, UserId, api::client::room::create_room};

/// Events of one room.
const IN_A_ROOM: usize = 1_000;
/// Events that are written together.
const AT_ONCE: usize = 200;
/// One event in so many is a state event.
const STATE_EVERY: usize = 20;
/// Rooms that are filled at the same time.
const ROOMS_AT_ONCE: usize = 16;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which configuration?")?;
    let count: usize = arguments.next().ok_or("how many events?")?.parse()?;
    let home = start::open(config::read(Some(Path::new(&file)))?).await?;
    let begun = Instant::now();
    let user_id = UserId::parse(format!("@writer:{}", home.server_name()))?;
    register::create(&home, &user_id, Kind::User, None, false).await?;
    let token = register::open_session(&home, &user_id, "FIRST".into(), None).await?;
    let device = sessions::session(&home, &token, None).await?.device;
    let rooms = stream::iter(0..count.div_ceil(IN_A_ROOM)).map(|n| {
        let (home, device) = (home.clone(), device.clone());
        let filling = tokio::spawn(async move { fill(&home, &device, n).await });
        async move { filling.await? }
    });
    rooms.buffer_unordered(ROOMS_AT_ONCE).try_collect::<Vec<()>>().await?;
    println!("{count} events in {:.0?}", begun.elapsed());
    Ok(())
}

/// Makes a room and fills it.
async fn fill(home: &Home, device: &Device, number: usize) -> Outcome<()> {
    let mut ask = create_room::v3::Request::new();
    ask.name = Some(format!("room {number}"));
    let room_id = rooms::create::create(home, device, ask, None).await?;
    let room = rooms::find(home, &room_id).await?;
    for start in (0..IN_A_ROOM).step_by(AT_ONCE) {
        let intents: Vec<Intent> = (start..start + AT_ONCE).map(|n| intent(device, n)).collect();
        rooms::append_all(home, &room, &intents).await?;
    }
    Ok(())
}

fn intent(device: &Device, n: usize) -> Intent {
    let text = |text: String| CanonicalJsonValue::String(text);
    if n.is_multiple_of(STATE_EVERY) {
        let content = CanonicalJsonObject::from([("topic".to_owned(), text(format!("topic {n}")))]);
        return Intent::state(device.user(), "m.room.topic", "", content);
    }
    let content = CanonicalJsonObject::from([
        ("body".to_owned(), text(format!("message {n} of a long conversation"))),
        ("msgtype".to_owned(), text("m.text".to_owned())),
    ]);
    Intent::message(device.user(), "m.room.message", content)
}

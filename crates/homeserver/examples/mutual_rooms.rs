//! Measures rooms in common: `cargo run --release -p homeserver --example mutual_rooms`.
//! Two users in 1,000 rooms each, 500 of them shared, on a new SQLite database; with the URL of an
//! empty PostgreSQL database as an argument, there.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use homeserver::{Clock, Dice, Home, config::Config, directory::mutual_rooms};
use rules::signing_key::SigningKey;
use ruma::user_id;
use store::{Batch, Db, members::NewMember, testing};

const ASKED: u32 = 2_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (fresh, _guard) = testing::fresh_sqlite()?;
    let db = Db::open(&std::env::args().nth(1).unwrap_or(fresh)).await?;
    fill(&db).await?;
    let clock = Clock::new(|| Duration::from_secs(1_800_000_000));
    let key = SigningKey::from_seed([7; 32], "bench")?;
    let home = Home::new(Config::default(), db, key, clock, Dice::new(|bytes| bytes.fill(7)));
    let (alice, bob) = (user_id!("@alice:localhost"), user_id!("@bob:localhost"));
    let start = Instant::now();
    let mut shared = 0;
    for _ in 0..ASKED {
        shared = mutual_rooms::page(&home, alice, bob, None, "/").await?.count;
    }
    println!("{shared} rooms in common: {:.0?} for the first batch", start.elapsed() / ASKED);
    Ok(())
}

/// Alice is in the rooms 0 to 999, Bob in 500 to 1499.
async fn fill(db: &Db) -> Result<(), store::Error> {
    let mut batch = Batch::new();
    for n in 0..1_500 {
        let pos = batch.pos();
        store::rooms::create(&mut batch, pos, &format!("!a-room-with-number-{n}:localhost"), "12", false);
        let here = [("@alice:localhost", n < 1_000), ("@bob:localhost", n >= 500)];
        for (user_id, _) in here.iter().filter(|(_, joined)| *joined) {
            let member = NewMember {
                user_id,
                room: pos.into(),
                membership: "join",
                event_id: "$XlZ8zqf1yWDcV4XjA9zWbOPVcYVvPLlpw7ZvKZ0sU4E",
                sender: user_id,
                display_name: Some("Somebody"),
                avatar_url: None,
            };
            store::members::set(&mut batch, pos, member);
        }
    }
    db.commit(batch).await.map(drop)
}

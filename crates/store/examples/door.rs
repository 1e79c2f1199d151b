//! Measures the door: `cargo run --release -p store --example door -- sqlite:/var/tmp/x/bench.db`
//! (or `postgres://…`). It fills tables of its own in that database.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};
use store::{Batch, Db, Result};

/// Rows that are there before anything is measured.
const ROWS: i64 = 100_000;
/// Bytes of one event.
const BYTES: usize = 700;
/// Reads of each kind.
const READS: u32 = 100_000;
/// Writers at once.
const CROWD: u32 = 64;
/// Appends of each writer.
const APPENDS: u32 = 300;

const BY_ID: &str = "SELECT pos, room, json FROM bench_event WHERE event_id = $1";
const PAGE: &str = "SELECT pos, event_id, json FROM bench_event
     WHERE room = $1 AND pos < $2 ORDER BY pos DESC LIMIT 50";
const APPEND: &str = "INSERT INTO bench_event (pos, room, event_id, json) VALUES ($1, $2, $3, $4)";
const HEAD: &str = "UPDATE bench_room SET head = $2 WHERE room = $1";

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).unwrap_or("sqlite:/tmp/hearth-bench/bench.db".into());
    let db = Db::open(&url).await?;
    println!("{}", resident());
    fill(&db).await?;
    println!("{}", resident());
    let start = Instant::now();
    for n in 0..READS {
        let id = format!("$event{}", i64::from(n) * 7919 % ROWS);
        let row: Option<(i64, i64, Vec<u8>)> = db.row(BY_ID, &[id.into()]).await?;
        assert!(row.is_some(), "the event is there");
    }
    tell("read by id", start.elapsed(), READS);
    let start = Instant::now();
    for n in 0..READS / 20 {
        let params = [i64::from(n % 100).into(), (i64::from(n) * 17 % ROWS + 5000).into()];
        let rows: Vec<(i64, String, Vec<u8>)> = db.rows(PAGE, &params).await?;
        assert_eq!(rows.len(), 50);
    }
    tell("read 50 events", start.elapsed(), READS / 20);
    let start = Instant::now();
    crowd(&db, |db, writer| async move {
        for n in 0..READS / CROWD {
            let id = format!("$event{}", i64::from(n * CROWD + writer) * 7919 % ROWS);
            let _: Option<(i64, i64, Vec<u8>)> = db.row(BY_ID, &[id.into()]).await?;
        }
        Ok(())
    })
    .await?;
    tell("read by id, 64 at once", start.elapsed(), READS);
    let start = Instant::now();
    for n in 0..APPENDS {
        append(&db, "alone", 0, n).await?;
    }
    tell("append alone", start.elapsed(), APPENDS);
    let start = Instant::now();
    let slowest = crowd(&db, |db, writer| async move {
        let mut slowest = Duration::ZERO;
        for n in 0..APPENDS {
            let start = Instant::now();
            append(&db, "crowd", writer, n).await?;
            slowest = slowest.max(start.elapsed());
        }
        Ok(slowest)
    })
    .await?;
    tell("append, 64 at once", start.elapsed(), APPENDS * CROWD);
    println!("{:<26}{:>10.1} ms", "slowest append of those", millis(slowest.into_iter().max()));
    println!("{}", resident());
    Ok(())
}

/// One event: its row, its room's head, two more rows around it.
async fn append(db: &Db, series: &str, writer: u32, n: u32) -> Result<()> {
    let mut batch = Batch::new();
    let pos = batch.pos();
    let room = i64::from(writer % 100);
    let id = format!("${series} {writer} {n} {}", db.upto());
    batch.must(HEAD, vec![room.into(), id.clone().into()]);
    batch.run(APPEND, vec![pos.into(), room.into(), id.clone().into(), vec![b'x'; BYTES].into()]);
    let edge = "INSERT INTO bench_edge (event_id, parent) VALUES ($1, $2)";
    batch.run(edge, vec![id.clone().into(), id.clone().into()]);
    let member = "INSERT INTO bench_last (room, writer, pos) VALUES ($1, $2, $3)
         ON CONFLICT (room, writer) DO UPDATE SET pos = excluded.pos";
    batch.run(member, vec![room.into(), writer.into(), pos.into()]);
    db.commit(batch).await.map(drop)
}

async fn fill(db: &Db) -> Result<()> {
    let mut batch = Batch::new();
    for sql in [
        "CREATE TABLE IF NOT EXISTS bench_event (pos BIGINT NOT NULL, room BIGINT NOT NULL,
            event_id TEXT NOT NULL UNIQUE, json BYTEA NOT NULL, PRIMARY KEY (pos))",
        "CREATE INDEX IF NOT EXISTS bench_event_room ON bench_event (room, pos)",
        "CREATE TABLE IF NOT EXISTS bench_room (room BIGINT NOT NULL PRIMARY KEY,
            head TEXT NOT NULL)",
        "CREATE TABLE IF NOT EXISTS bench_edge (event_id TEXT NOT NULL, parent TEXT NOT NULL,
            PRIMARY KEY (event_id, parent))",
        "CREATE TABLE IF NOT EXISTS bench_last (room BIGINT NOT NULL, writer BIGINT NOT NULL,
            pos BIGINT NOT NULL, PRIMARY KEY (room, writer))",
    ] {
        batch.run(sql, vec![]);
    }
    db.commit(batch).await?;
    let (count,): (i64,) = db.row("SELECT count(*) FROM bench_event", &[]).await?.unwrap_or_default();
    if count >= ROWS {
        return Ok(());
    }
    for start in (0..ROWS).step_by(1000) {
        let mut batch = Batch::new();
        for n in start..start + 1000 {
            let pos = batch.pos();
            let (room, id) = (n % 100, format!("$event{n}"));
            let json = vec![b'x'; BYTES];
            batch.run(APPEND, vec![pos.into(), room.into(), id.into(), json.into()]);
            if n < 100 {
                let sql = "INSERT INTO bench_room (room, head) VALUES ($1, '')";
                batch.run(sql, vec![n.into()]);
            }
        }
        db.commit(batch).await?;
    }
    Ok(())
}

async fn crowd<T, F>(db: &Db, work: impl Fn(Db, u32) -> F) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let tasks: Vec<_> = (0..CROWD).map(|n| tokio::spawn(work(db.clone(), n))).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.map_err(|error| store::Error::Broken(error.to_string()))??);
    }
    Ok(all)
}

fn tell(what: &str, took: Duration, times: u32) {
    println!("{what:<26}{:>10.1} µs", took.as_secs_f64() * 1e6 / f64::from(times));
}

fn millis(time: Option<Duration>) -> f64 {
    time.unwrap_or_default().as_secs_f64() * 1e3
}

/// What the process occupies, as Linux counts it: memory of its own, and the file it has mapped,
/// which the system takes back when it needs the room.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("RssAnon") || line.starts_with("RssFile"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

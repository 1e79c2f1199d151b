//! What was acknowledged survives the death of the process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use store::{Batch, Db, Result, testing};

/// Tells the child which database to fill.
const URL: &str = "HEARTH_TEST_CRASH_URL";
/// How many acknowledgements the parent waits for before it kills.
const ENOUGH: usize = 300;
/// Writers at once, so that the kill meets groups.
const CROWD: i64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn everything_acknowledged_survives_kill_9() -> Result<()> {
    if let Ok(url) = std::env::var(URL) {
        return commit_until_killed(&url).await;
    }
    testing::on_each_url(async |url: String| {
        let mut acknowledged = Vec::new();
        for _ in 0..3 {
            acknowledged.extend(kill_in_the_middle(&url));
            let db = Db::open(&url).await?;
            let upto = db.upto();
            let kept: Vec<(String, String)> =
                db.rows("SELECT key, value FROM setting ORDER BY key", &[]).await?;
            let lost = acknowledged.iter().find(|key| !kept.iter().any(|(kept, _)| kept == *key));
            assert_eq!(lost, None, "of {} acknowledged", acknowledged.len());
            // PostgreSQL may still commit what the child had sent.
            let positions = kept.iter().filter_map(|(_, pos)| pos.parse().ok());
            let mut positions: Vec<i64> = positions.filter(|pos| *pos <= upto).collect();
            positions.sort_unstable();
            assert!(positions.into_iter().eq(1..=upto), "positions have holes");
        }
        Ok(())
    })
    .await
}

/// Lets a child commit, kills it, and says what it acknowledged.
fn kill_in_the_middle(url: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("a test has a program");
    let mut child = Command::new(program)
        .args(["everything_acknowledged_survives_kill_9", "--exact", "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test starts again as a child");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut acknowledged = Vec::new();
    for line in lines {
        let line = line.expect("the child writes text");
        acknowledged.extend(line.strip_prefix("kept ").map(str::to_owned));
        if acknowledged.len() == ENOUGH {
            // SIGKILL. What the child said until then is still read.
            child.kill().expect("the child lives");
        }
    }
    child.wait().expect("the child was started");
    assert!(acknowledged.len() >= ENOUGH, "the child ended by itself");
    acknowledged
}

/// What the test does when it is its own child.
async fn commit_until_killed(url: &str) -> Result<()> {
    let db = Db::open(url).await?;
    let start = db.upto();
    let writers = (0..CROWD).map(|writer| tokio::spawn(write(db.clone(), start, writer)));
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no panic")?;
    }
    Ok(())
}

async fn write(db: Db, start: i64, writer: i64) -> Result<()> {
    for n in 0.. {
        let key = format!("{start} {writer} {n}");
        let mut batch = Batch::new();
        let pos = batch.pos();
        batch.run(
            "INSERT INTO setting (key, value) VALUES ($1, CAST(CAST($2 AS BIGINT) AS TEXT))",
            vec![key.clone().into(), pos.into()],
        );
        db.commit(batch).await?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "kept {key}").and_then(|()| out.flush()).expect("the parent listens");
    }
    Ok(())
}

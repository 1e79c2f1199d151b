//! PostgreSQL is lost at the worst of moments: when COMMIT was sent and is not answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::testing::wire::{After, Mode, Wire};
use store::{Batch, Commit, Db, Error, PosRef, Result, testing};

/// A PostgreSQL database at the end of a wire.
async fn wired() -> Result<(Wire, Db, testing::PostgresGuard)> {
    let (url, guard) = testing::fresh_postgres().await?;
    let (wire, url) = Wire::to(&url).await?;
    Ok((wire, Db::open(&url).await?, guard))
}

/// A batch that keeps a setting, counts how often it was called back, and takes a position.
fn keep(db: &Db, key: &str, called: &Arc<AtomicI64>) -> (Commit, PosRef) {
    let mut batch = Batch::new();
    let pos = batch.pos();
    let sql = "INSERT INTO setting (key, value) VALUES ($1, CAST(CAST($2 AS BIGINT) AS TEXT))";
    batch.run(sql, vec![key.to_owned().into(), pos.into()]);
    let called = called.clone();
    batch.then(move |_| {
        called.fetch_add(1, Ordering::SeqCst);
    });
    (db.enqueue(batch), pos)
}

async fn settings(db: &Db) -> Result<Vec<(String, String)>> {
    db.rows("SELECT key, value FROM setting ORDER BY key", &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_to_be_kept() -> Result<()> {
    let (wire, db, _guard) = wired().await?;
    let called = Arc::new(AtomicI64::new(0));
    for round in 1..=10 {
        wire.set(Mode::AnswerLost(After::Open));
        let (commit, pos) = keep(&db, &format!("{round:02}"), &called);
        assert_eq!(commit.await?.at(pos), round);
        assert_eq!((called.load(Ordering::SeqCst), db.upto()), (round, round));
        assert_eq!(wire.lost() as i64, round);
    }
    assert_eq!(settings(&db).await?.len(), 10, "nothing was done twice");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_lost_is_done_again() -> Result<()> {
    let (wire, db, _guard) = wired().await?;
    let called = Arc::new(AtomicI64::new(0));
    for round in 1..=10 {
        wire.set(Mode::CommitLost(After::Open));
        let (commit, pos) = keep(&db, &format!("{round:02}"), &called);
        assert_eq!(commit.await?.at(pos), round);
        assert_eq!((called.load(Ordering::SeqCst), db.upto()), (round, round));
        assert_eq!(wire.lost() as i64, round);
    }
    assert_eq!(settings(&db).await?.len(), 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_be_told_happens_in_memory_once_it_is_known() -> Result<()> {
    let (wire, db, _guard) = wired().await?;
    let called = Arc::new(AtomicI64::new(0));
    wire.set(Mode::AnswerLost(After::Gone));
    let doubtful = keep(&db, "doubtful", &called).0.await;
    assert!(matches!(doubtful, Err(Error::Unavailable(_))), "{doubtful:?}");
    let after = keep(&db, "after", &called).0.await;
    assert!(matches!(after, Err(Error::Unavailable(_))), "{after:?}");
    assert_eq!((called.load(Ordering::SeqCst), db.upto()), (0, 0), "nothing is known yet");
    wire.set(Mode::Open);
    let upto = db.follow().wait_for(|upto| *upto > 0).await.map(|upto| *upto);
    assert_eq!(upto.ok(), Some(1), "it is found out without a further write");
    assert_eq!(called.load(Ordering::SeqCst), 1);
    let (commit, pos) = keep(&db, "again", &called);
    assert_eq!(commit.await?.at(pos), 2);
    let kept = [("again", "2"), ("doubtful", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(settings(&db).await?, kept);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_kept_never_happens_in_memory() -> Result<()> {
    let (wire, db, _guard) = wired().await?;
    let called = Arc::new(AtomicI64::new(0));
    wire.set(Mode::CommitLost(After::Gone));
    let lost = keep(&db, "lost", &called).0.await;
    assert!(matches!(lost, Err(Error::Unavailable(_))), "{lost:?}");
    wire.set(Mode::Open);
    let mut again = keep(&db, "again", &called);
    // The connection is made again after a pause.
    let at = loop {
        match again.0.await {
            Ok(positions) => break positions.at(again.1),
            Err(Error::Unavailable(_)) => again = keep(&db, "again", &called),
            Err(error) => return Err(error),
        }
    };
    assert_eq!((at, called.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(settings(&db).await?, [("again".to_owned(), "1".to_owned())]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_hangs_is_unavailable_and_works_again_when_it_does() -> Result<()> {
    let (wire, db, _guard) = wired().await?;
    let called = Arc::new(AtomicI64::new(0));
    keep(&db, "before", &called).0.await?;
    wire.set(Mode::Silent);
    let write = keep(&db, "during", &called).0;
    let (write, read) = tokio::join!(write, settings(&db));
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    wire.set(Mode::Open);
    loop {
        match keep(&db, "after", &called).0.await {
            Ok(_) => break,
            Err(Error::Unavailable(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // What was sent before the hang may arrive after it, where nobody waits for it any more.
    let kept = settings(&db).await?;
    assert!(kept.iter().any(|(key, _)| key == "after"), "{kept:?}");
    assert_eq!(called.load(Ordering::SeqCst) as usize, kept.len());
    assert_eq!(db.upto() as usize, kept.len());
    Ok(())
}

//! The door to the database, on the real engines.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store::{Batch, Commit, Db, Error, PosRef, Result, Value, settings, testing};

/// A batch that keeps a setting and a position.
fn keep(db: &Db, key: &str) -> (Commit, PosRef) {
    keep_if(db, key, key)
}

/// A batch that keeps a setting and a position, if there is a setting `wanted` then.
fn keep_if(db: &Db, key: &str, wanted: &str) -> (Commit, PosRef) {
    let mut batch = Batch::new();
    let pos = batch.pos();
    batch.run(
        "INSERT INTO setting (key, value) VALUES ($1, CAST(CAST($2 AS BIGINT) AS TEXT))",
        vec![key.to_owned().into(), pos.into()],
    );
    batch.must("UPDATE setting SET value = value WHERE key = $1", vec![wanted.to_owned().into()]);
    (db.enqueue(batch), pos)
}

async fn keys(db: &Db) -> Result<Vec<String>> {
    let rows = db.rows("SELECT key FROM setting ORDER BY key", &[]).await?;
    Ok(rows.into_iter().map(|(key,)| key).collect())
}

#[tokio::test]
async fn settings_are_kept_and_the_server_name_never_changes() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        settings::put(&db, "a", "1").await?;
        settings::put(&db, "a", "2").await?;
        assert_eq!(settings::get(&db, "a").await?.as_deref(), Some("2"));
        assert_eq!(settings::get(&db, "b").await?, None);
        settings::claim_server_name(&db, "example.org").await?;
        settings::claim_server_name(&db, "example.org").await?;
        let other = settings::claim_server_name(&db, "example.com").await;
        assert!(matches!(other, Err(Error::Unfit(_))), "{other:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refused_batch_leaves_the_others_and_no_hole() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let (first, a) = keep_if(&db, "a", "a");
        let (second, _) = keep_if(&db, "b", "nobody");
        let (third, c) = keep_if(&db, "c", "a");
        assert_eq!(first.await?.at(a), 1);
        assert_eq!(second.await, Err(Error::Refused { statement: 1 }));
        assert_eq!(third.await?.at(c), 2);
        assert_eq!(db.upto(), 2);
        assert_eq!(keys(&db).await?, ["a", "c"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_failing_batch_leaves_the_others() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let mut unknown = Batch::new();
        unknown.run("INSERT INTO setting (key, value) VALUES ('lost', '')", vec![]);
        unknown.run("INSERT INTO no_such_table (key) VALUES ('lost')", vec![]);
        let mut doubled = Batch::new();
        doubled.run("INSERT INTO setting (key, value) VALUES ('a', '')", vec![]);
        let mut missing = Batch::new();
        missing.run("INSERT INTO setting (key, value) VALUES ($1, '')", vec![]);
        let (a, _) = keep(&db, "a");
        let failing = [unknown, doubled, missing].map(|batch| db.enqueue(batch));
        let (b, _) = keep(&db, "b");
        a.await?;
        for commit in failing {
            let answer = commit.await;
            assert!(matches!(answer, Err(Error::Broken(_))), "{answer:?}");
        }
        b.await?;
        assert_eq!(keys(&db).await?, ["a", "b"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_answered_in_order_and_without_holes() -> Result<()> {
    const CROWD: i64 = 700;
    testing::on_each_database(async |db: Db| {
        let commits: Vec<_> = (0..CROWD).map(|n| keep(&db, &format!("{n:04}"))).collect();
        for (commit, expected) in commits.into_iter().zip(1..) {
            let (commit, pos) = commit;
            assert_eq!(commit.await?.at(pos), expected);
        }
        assert_eq!(db.upto(), CROWD);
        let kept: Vec<(String, String)> = db.scan("SELECT key, value FROM setting ORDER BY key", &[]).await?;
        assert!(kept.iter().map(|(_, pos)| pos.parse()).eq((1..=CROWD).map(Ok)));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_come_before_the_position_and_readers_see_everything_up_to_it() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let called = Arc::new(AtomicI64::new(0));
        let mut follower = db.follow();
        let watcher = {
            let (db, called) = (db.clone(), called.clone());
            tokio::spawn(async move {
                while *follower.borrow() < 100 {
                    follower.changed().await.expect("the database is open");
                    let upto = *follower.borrow_and_update();
                    assert!(called.load(Ordering::SeqCst) >= upto);
                    let (count,): (i64,) =
                        db.row("SELECT count(*) FROM setting", &[]).await?.expect("one row");
                    assert!(count >= 2 * upto, "{count} rows at {upto}");
                    assert_eq!(count % 2, 0, "a half batch is visible");
                }
                Ok(())
            })
        };
        for n in 0..100_i64 {
            let mut batch = Batch::new();
            let pos = batch.pos();
            for half in ["a", "b"] {
                let key = format!("{half}{n}");
                let sql = "INSERT INTO setting (key, value) VALUES ($1, '')";
                batch.run(sql, vec![key.into()]);
            }
            let (called, watched) = (called.clone(), db.clone());
            batch.then(move |positions| {
                let pos = positions.at(pos);
                assert_eq!(called.swap(pos, Ordering::SeqCst), pos - 1, "not in commit order");
                assert!(watched.upto() < pos);
            });
            let commit = db.enqueue(batch);
            if n % 10 == 0 {
                commit.await?;
            }
        }
        watcher.await.expect("no panic")
    })
    .await
}

#[tokio::test]
async fn a_refused_batch_calls_nobody_and_a_panic_stops_nothing() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        let mut refused = Batch::new();
        refused.must("UPDATE setting SET value = '' WHERE key = 'nobody'", vec![]);
        let called = Arc::new(AtomicI64::new(0));
        let by_refused = called.clone();
        refused.then(move |_| by_refused.store(1, Ordering::SeqCst));
        assert_eq!(db.commit(refused).await, Err(Error::Refused { statement: 0 }));
        assert_eq!(called.load(Ordering::SeqCst), 0);
        assert_eq!(Arc::strong_count(&called), 1, "the callback is dropped");

        let mut panicking = Batch::new();
        panicking.then(|_| panic!("this panic belongs to the test"));
        db.commit(panicking).await?;
        keep(&db, "a").0.await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn values_come_back_as_they_went_in() -> Result<()> {
    type Kept = (i64, Option<i64>, bool, String, Vec<u8>, Bytes, Option<String>, Option<Vec<u8>>);
    testing::on_each_database(async |db: Db| {
        let mut batch = Batch::new();
        batch.run(
            "CREATE TABLE kept (id BIGINT PRIMARY KEY, n BIGINT, yes BOOLEAN, words TEXT,
                raw BYTEA, shared BYTEA, no_words TEXT, no_raw BYTEA)",
            vec![],
        );
        db.commit(batch).await?;
        let shared = Bytes::from_static(&[0, 255, 128]);
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO kept VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            vec![
                i64::MIN.into(),
                Value::Null,
                true.into(),
                "ü$1'\"\\".into(),
                Vec::<u8>::new().into(),
                shared.clone().into(),
                None::<String>.into(),
                None::<Vec<u8>>.into(),
            ],
        );
        db.commit(batch).await?;
        let kept: Option<Kept> =
            db.row("SELECT id, n, yes, words, raw, shared, no_words, no_raw FROM kept", &[]).await?;
        let words = "ü$1'\"\\".to_owned();
        assert_eq!(kept, Some((i64::MIN, None, true, words, vec![], shared, None, None)));
        let flagged: Option<(i64,)> =
            db.row("SELECT 1 FROM kept WHERE yes = $1 AND yes AND no_raw IS NULL", &[true.into()]).await?;
        assert_eq!(flagged, Some((1,)));
        let null = db.row::<(String,)>("SELECT no_words FROM kept", &[]).await;
        assert!(matches!(null, Err(Error::Broken(_))), "{null:?}");
        let pos = Batch::new().pos();
        let outside = db.row::<(i64,)>("SELECT id FROM kept WHERE id = $1", &[pos.into()]).await;
        assert!(matches!(outside, Err(Error::Broken(_))), "{outside:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn lists_are_compared_with_any_and_all() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        for key in ["a", "b", "c"] {
            settings::put(&db, key, "").await?;
        }
        let some = vec!["a".to_owned(), "c".to_owned(), "x".to_owned()];
        let among = "SELECT key FROM setting WHERE key = ANY($1) ORDER BY key";
        let except = "SELECT key FROM setting WHERE key <> ALL($1) ORDER BY key";
        let text = |key: &str| (key.to_owned(),);
        let found: Vec<(String,)> = db.rows(among, &[(&some).into()]).await?;
        assert_eq!(found, [text("a"), text("c")]);
        let found: Vec<(String,)> = db.rows(except, &[(&some).into()]).await?;
        assert_eq!(found, [text("b")]);
        let found: Vec<(String,)> = db.rows(among, &[Vec::<String>::new().into()]).await?;
        assert_eq!(found, []);
        let mut batch = Batch::new();
        batch.must("DELETE FROM setting WHERE key = ANY($1)", vec![some.into()]);
        db.commit(batch).await?;
        assert_eq!(keys(&db).await?, ["b"]);
        let numbers = "SELECT id FROM stream WHERE id = ANY($1) AND id <> ALL($2)";
        let found = db.row(numbers, &[vec![1_i64, 7].into(), Vec::<i64>::new().into()]).await?;
        assert_eq!(found, Some((1_i64,)));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_nul_in_a_text_is_refused_the_same_everywhere() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        assert_eq!(settings::put(&db, "a\0", "1").await, Err(Error::Nul));
        assert_eq!(settings::get(&db, "a\0").await, Err(Error::Nul));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn text_sorts_by_bytes() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        for key in ["é", "a b", "aB", "b", "B", "_", "Z"] {
            settings::put(&db, key, "").await?;
        }
        assert_eq!(keys(&db).await?, ["B", "Z", "_", "a b", "aB", "b", "é"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn opened_again_everything_is_there() -> Result<()> {
    testing::on_each_url(async |url: String| {
        let db = Db::open(&url).await?;
        keep(&db, "a").0.await?;
        drop(db);
        let db = Db::open(&url).await?;
        assert_eq!(db.upto(), 1);
        let (commit, pos) = keep(&db, "b");
        assert_eq!(commit.await?.at(pos), 2);
        assert_eq!(keys(&db).await?, ["a", "b"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_open_a_new_database_at_once_both_get_it() -> Result<()> {
    testing::on_each_url(async |url: String| {
        let opens: Vec<_> = (0..4)
            .map(|_| {
                let url = url.clone();
                tokio::spawn(async move { Db::open(&url).await })
            })
            .collect();
        for open in opens {
            open.await.expect("no panic")?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_schema_from_the_future_refuses_to_start() -> Result<()> {
    testing::on_each_url(async |url: String| {
        let db = Db::open(&url).await?;
        let mut batch = Batch::new();
        batch.run("INSERT INTO schema_version (version) VALUES (999999)", vec![]);
        db.commit(batch).await?;
        let again = Db::open(&url).await.map(drop);
        assert!(matches!(&again, Err(Error::Unfit(why)) if why.contains("999999")), "{again:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_queue_without_end_refuses() -> Result<()> {
    testing::on_each_database(async |db: Db| {
        // The writer waits in a callback while the queue fills.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let mut first = Batch::new();
        first.then(move |_| assert!(wait.recv().is_err(), "the sender is dropped"));
        let first = db.enqueue(first);
        let flood = || {
            let mut batch = Batch::new();
            let long = " ".repeat(32 << 20);
            batch.run("DELETE FROM setting WHERE key = $1", vec![long.into()]);
            db.enqueue(batch)
        };
        let commits: Vec<_> = (0..12).map(|_| flood()).collect();
        drop(go);
        first.await?;
        let mut refused = 0;
        for commit in commits {
            match commit.await {
                Ok(_) => {}
                Err(Error::Unavailable(_)) => refused += 1,
                Err(error) => return Err(error),
            }
        }
        assert!(refused > 0);
        keep(&db, "a").0.await?;
        Ok(())
    })
    .await
}

/// A PostgreSQL database and a connection that can do harm to the others.
async fn postgres_and_a_saboteur() -> Result<(String, testing::PostgresGuard, tokio_postgres::Client)> {
    let (url, guard) = testing::fresh_postgres().await?;
    let saboteur = std::env::var(testing::POSTGRES).expect("it was there a moment ago");
    let (client, connection) =
        tokio_postgres::connect(&saboteur, tokio_postgres::NoTls).await.expect("PostgreSQL runs");
    tokio::spawn(connection);
    Ok((url, guard, client))
}

const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
     WHERE application_name = $1 AND pid <> pg_backend_pid()";

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_to_postgres_come_back() -> Result<()> {
    let (url, guard, saboteur) = postgres_and_a_saboteur().await?;
    let db = Db::open(&url).await?;
    let other = Db::open(&url).await?;
    for round in 1..=3 {
        keep(&db, &format!("before {round}")).0.await?;
        keys(&db).await?;
        let ended = saboteur.query_one(TERMINATE, &[&guard.name()]).await.expect("permitted");
        assert!(ended.get::<_, i64>(0) > 0);
        keep(&db, &format!("after {round}")).0.await?;
        assert_eq!(keys(&db).await?.len(), 2 * round);
        let wanted = db.upto();
        let heard = other.follow().wait_for(|upto| *upto == wanted).await.map(|upto| *upto);
        assert_eq!(heard.ok(), Some(wanted), "the other node hears of it too");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_on_one_postgres_share_positions_and_hear_of_each_other() -> Result<()> {
    let (url, _guard) = testing::fresh_postgres().await?;
    let nodes = [Db::open(&url).await?, Db::open(&url).await?];
    let commits: Vec<_> = (0..400)
        .map(|n| (keep(&nodes[n % 2], &n.to_string()), keep(&nodes[n % 2], &n.to_string())))
        .collect();
    let mut positions = Vec::new();
    for ((first, pos), (second, _)) in commits {
        positions.push(first.await?.at(pos));
        assert!(matches!(second.await, Err(Error::Broken(_))), "the key is taken");
    }
    positions.sort_unstable();
    assert!(positions.into_iter().eq(1..=400));
    for node in &nodes {
        let heard = node.follow().wait_for(|upto| *upto == 400).await.map(|upto| *upto);
        assert_eq!(heard.ok(), Some(400));
        assert_eq!(keys(node).await?.len(), 400);
    }
    Ok(())
}

#[tokio::test]
async fn a_postgres_that_is_not_there_is_unavailable() {
    let open = Db::open("postgres://hearth@127.0.0.1:1/hearth").await.map(drop);
    assert!(matches!(open, Err(Error::Unavailable(_))), "{open:?}");
}

#[tokio::test]
async fn a_postgres_that_sorts_by_language_is_refused() -> Result<()> {
    let (_, guard, saboteur) = postgres_and_a_saboteur().await?;
    let name = guard.name();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'");
    saboteur.batch_execute(&create).await.expect("permitted");
    let url = std::env::var(testing::POSTGRES).expect("it was there a moment ago");
    let (server, _) = url.rsplit_once('/').expect("a URL");
    let open = Db::open(&format!("{server}/{name}")).await.map(drop);
    let drop_it = format!("DROP DATABASE {name} WITH (FORCE)");
    saboteur.batch_execute(&drop_it).await.expect("permitted");
    assert!(matches!(&open, Err(Error::Unfit(why)) if why.contains("LC_COLLATE 'C'")), "{open:?}");
    Ok(())
}

#[tokio::test]
async fn a_full_sqlite_refuses_and_goes_on_when_there_is_room() -> Result<()> {
    let (url, _guard) = testing::fresh_sqlite()?;
    let db = Db::open(&url).await?;
    keep(&db, "before").0.await?;
    // The limit belongs to the writer's connection. It answers a row, which a batch has no use
    // for; that is an error, after it was set.
    let limit = |sql: &'static str| {
        let mut batch = Batch::new();
        batch.run(sql, vec![]);
        db.enqueue(batch)
    };
    assert!(limit("PRAGMA max_page_count = 1").await.is_err());
    let fill = |key: &str| {
        let mut batch = Batch::new();
        let pos = batch.pos();
        batch.run(
            "INSERT INTO setting (key, value) VALUES ($1, $2)",
            vec![key.to_owned().into(), "x".repeat(100_000).into()],
        );
        batch.then(|_| panic!("a batch without room called back"));
        (db.enqueue(batch), pos)
    };
    let crowd = [fill("a"), fill("b"), fill("c")];
    for (commit, _) in crowd {
        assert_eq!(commit.await, Err(Error::Full));
    }
    assert_eq!(db.upto(), 1);
    assert_eq!(keys(&db).await?, ["before"]);
    assert!(limit("PRAGMA max_page_count = 1000000").await.is_err());
    let (commit, pos) = keep(&db, "after");
    assert_eq!(commit.await?.at(pos), 2);
    assert_eq!(keys(&db).await?, ["after", "before"]);
    Ok(())
}

#[tokio::test]
async fn a_sqlite_that_can_only_be_read_refuses_and_says_so() -> Result<()> {
    let (url, _guard) = testing::fresh_sqlite()?;
    let db = Db::open(&url).await?;
    keep(&db, "before").0.await?;
    assert_eq!(db.ailment(), None);
    let mut only_read = Batch::new();
    only_read.run("PRAGMA query_only = 1", vec![]);
    db.commit(only_read).await?;
    assert_eq!(keep(&db, "during").0.await.map(drop), Err(Error::ReadOnly));
    assert_eq!(db.ailment(), Some(Error::ReadOnly));
    assert_eq!((keys(&db).await?, db.upto()), (vec!["before".to_owned()], 1));
    Ok(())
}

#[tokio::test]
async fn a_snapshot_sees_nothing_that_comes_later_and_writes_nothing() -> Result<()> {
    testing::on_each_url(async |url: String| {
        let absent = Db::snapshot(&url).await.map(drop);
        assert!(matches!(absent, Err(Error::Unfit(_))), "{absent:?}");
        let db = Db::open(&url).await?;
        keep(&db, "before").0.await?;
        let snapshot = Db::snapshot(&url).await?;
        keep(&db, "after").0.await?;
        assert_eq!((keys(&snapshot).await?, snapshot.upto()), (vec!["before".to_owned()], 1));
        assert!(matches!(keep(&snapshot, "own").0.await, Err(Error::Unavailable(_))));
        assert_eq!(snapshot.damage(10).await?, [] as [&str; 0]);
        assert_eq!(keys(&db).await?, ["after", "before"]);
        Ok(())
    })
    .await
}

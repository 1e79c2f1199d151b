//! Brings the schema of a database up to what this program knows, step by step.

use super::{Error, Result, postgres, sqlite};
use rusqlite::{Connection, TransactionBehavior};
use tokio_postgres::Client;

/// Every step of the schema, in order. A step that was released never changes.
pub(super) const MIGRATIONS: &[(i64, &str)] = &[(1, include_str!("../schema/0001_foundation.sql"))];

/// What the door itself needs, before the first step: the position of the newest write, the steps
/// that were taken, and the settings.
const BOOTSTRAP: &str = "
    CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS stream (id BIGINT NOT NULL PRIMARY KEY, pos BIGINT NOT NULL);
    INSERT INTO stream (id, pos) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;
    CREATE TABLE IF NOT EXISTS setting (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
";

/// The newest position, also where the database is damaged.
pub(super) const NEWEST: &str = "SELECT COALESCE(MAX(pos), 0) FROM stream";

/// What the writers of PostgreSQL need besides: which group of each process was kept last.
const BOOTSTRAP_POSTGRES: &str = "
    CREATE TABLE IF NOT EXISTS writer (
        node TEXT NOT NULL PRIMARY KEY, groups BIGINT NOT NULL, seen TIMESTAMPTZ NOT NULL DEFAULT now());
";

pub(super) const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM schema_version";

/// Brings a SQLite database up to date.
pub(super) fn sqlite(connection: &mut Connection) -> Result<()> {
    loop {
        // The write lock comes first, so that of two processes one waits and then finds it done.
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite::error)?;
        transaction.execute_batch(&for_sqlite(BOOTSTRAP)).map_err(sqlite::error)?;
        let version = transaction.query_row(VERSION, [], |row| row.get(0)).map_err(sqlite::error)?;
        let Some((step, sql)) = next_step(version)? else {
            return transaction.commit().map_err(sqlite::error);
        };
        tracing::info!(step, "migrating the database");
        transaction.execute_batch(&for_sqlite(sql)).map_err(|error| failed(*step, &error))?;
        transaction
            .execute("INSERT INTO schema_version (version) VALUES (?1)", [step])
            .map_err(sqlite::error)?;
        transaction.commit().map_err(sqlite::error)?;
    }
}

/// Of two nodes that start at once, one takes this lock and the other waits and finds it done.
/// Hearths in different schemas of one database do not wait for each other.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1751478642, hashtext(current_schema()))";

/// Brings a PostgreSQL database up to date.
pub(super) async fn postgres(client: &Client) -> Result<()> {
    loop {
        match postgres_step(client).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => {
                // The error that matters is the first; a lost connection rolls back by itself.
                let _ = client.batch_execute("ROLLBACK").await;
                return Err(error);
            }
        }
    }
}

/// Takes the next step in one transaction; says whether there was one.
async fn postgres_step(client: &Client) -> Result<bool> {
    let begin = format!("SET client_min_messages = warning; BEGIN; {LOCK}; {BOOTSTRAP} {BOOTSTRAP_POSTGRES}");
    client.batch_execute(&begin).await.map_err(postgres::error)?;
    let version = client.query_one(VERSION, &[]).await.map_err(postgres::error)?.get(0);
    let next = next_step(version)?;
    if let Some((step, sql)) = next {
        tracing::info!(step, "migrating the database");
        client.batch_execute(sql).await.map_err(|cause| failed(*step, &postgres::error(cause)))?;
        client
            .execute("INSERT INTO schema_version (version) VALUES ($1)", &[step])
            .await
            .map_err(postgres::error)?;
    }
    client.batch_execute("COMMIT").await.map_err(postgres::error)?;
    Ok(next.is_some())
}

fn failed(step: i64, error: &dyn std::fmt::Display) -> Error {
    Error::Broken(format!("step {step} of the schema failed: {error}"))
}

/// The step after `version`, or nothing if the schema is up to date.
fn next_step(version: i64) -> Result<Option<&'static (i64, &'static str)>> {
    let newest = MIGRATIONS.last().map_or(0, |(step, _)| *step);
    if version > newest {
        return Err(Error::Unfit(format!(
            "this database was used by a newer hearth (its schema is {version}, this program knows \
             {newest}): start that version or a newer one"
        )));
    }
    Ok(MIGRATIONS.iter().find(|(step, _)| *step > version))
}

/// Refuses a database that is not up to date.
pub(super) fn must_be_current(version: i64) -> Result<()> {
    match next_step(version)? {
        Some(_) => Err(Error::Unfit("this database is of an older hearth: start this one once".into())),
        None => Ok(()),
    }
}

/// The schema's text as SQLite reads it: a whole-number key is the row id itself, and tables may
/// ask to have none.
fn for_sqlite(sql: &str) -> String {
    sql.replace("BIGINT PRIMARY KEY", "INTEGER PRIMARY KEY")
        .replace("BIGINT NOT NULL PRIMARY KEY", "INTEGER PRIMARY KEY")
        .replace("/* WITHOUT ROWID */", "WITHOUT ROWID")
}

//! Fresh databases for tests, of both engines.
//!
//! ```no_run
//! # use store::{Db, Result, settings, testing};
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<()> {
//! testing::on_each_database(async |db: Db| {
//!     settings::put(&db, "greeting", "hello").await?;
//!     assert_eq!(settings::get(&db, "greeting").await?.as_deref(), Some("hello"));
//!     Ok(())
//! })
//! .await
//! # }
//! ```

pub mod wire;

use crate::database::{Db, Error, Result};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use tokio_postgres::{Client, NoTls};

/// The environment variable with the URL of a PostgreSQL that tests may fill.
pub const POSTGRES: &str = "HEARTH_TEST_POSTGRES";

/// Runs `test` on a new SQLite database and then on a new PostgreSQL database. Fails, and never
/// skips, if there is no PostgreSQL.
pub async fn on_each_database<E: From<Error>>(test: impl AsyncFn(Db) -> Result<(), E>) -> Result<(), E> {
    on_each_url(async |url: String| test(Db::open(&url).await?).await).await
}

/// Like [`on_each_database`], for tests that open the database themselves.
pub async fn on_each_url<E: From<Error>>(test: impl AsyncFn(String) -> Result<(), E>) -> Result<(), E> {
    let (url, _guard) = fresh_sqlite()?;
    run("SQLite", test(url)).await?;
    let (url, _guard) = fresh_postgres().await?;
    run("PostgreSQL", test(url)).await
}

/// Says on which engine a test failed.
async fn run<E>(engine: &'static str, test: impl Future<Output = Result<(), E>>) -> Result<(), E> {
    struct Failed(&'static str);
    impl Drop for Failed {
        fn drop(&mut self) {
            eprintln!("this failed on {}", self.0);
        }
    }
    let failed = Failed(engine);
    test.await.inspect(|()| std::mem::forget(failed))
}

/// Removes the database of a test when it is dropped.
pub struct SqliteGuard(PathBuf);

impl Drop for SqliteGuard {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The URL of a new SQLite database in a directory of its own, which lives as long as the guard.
///
/// The name is never used again: a writer that still closes the database of the test before would
/// remove the log beside ours, which SQLite knows by its name.
pub fn fresh_sqlite() -> Result<(String, SqliteGuard)> {
    let unique = RandomState::new().build_hasher().finish();
    let path = std::env::temp_dir().join(format!("hearth-test-{unique:016x}"));
    std::fs::create_dir(&path).map_err(|error| Error::Unfit(format!("no directory for a test: {error}")))?;
    Ok((format!("sqlite:{}/hearth.db", path.display()), SqliteGuard(path)))
}

/// Removes the database of a test when it is dropped.
pub struct PostgresGuard {
    url: String,
    schema: String,
}

impl PostgresGuard {
    /// The name of the schema, and of the application that its connections say they are.
    pub fn name(&self) -> &str {
        &self.schema
    }
}

impl Drop for PostgresGuard {
    fn drop(&mut self) {
        // A connection of the test may still be in the middle of a transaction.
        let drop_schema = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = '{0}'; DROP SCHEMA {0} CASCADE",
            self.schema
        );
        let url = std::mem::take(&mut self.url);
        // Dropping is not async, and the test's own runtime is busy with it.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| {
                runtime.block_on(async { connect(&url).await?.batch_execute(&drop_schema).await })
            })
        };
        let _ = std::thread::spawn(work).join();
    }
}

/// The URL of a new PostgreSQL database, which lives as long as the guard. It is a schema of its
/// own in the database that [`POSTGRES`] names: that takes a tenth of the time of a database.
pub async fn fresh_postgres() -> Result<(String, PostgresGuard)> {
    let url = std::env::var(POSTGRES).map_err(|_| {
        Error::Unfit(format!(
            "{POSTGRES} is not set: tests need a PostgreSQL; run scripts/test, or \
             {POSTGRES}=$(scripts/postgres-for-tests) cargo test"
        ))
    })?;
    let failed = |error| Error::Unfit(format!("no schema for a test: {error}"));
    let client = connect(&url).await.map_err(failed)?;
    let name = "SELECT 'test_' || replace(CAST(gen_random_uuid() AS TEXT), '-', '')";
    let schema: String = client.query_one(name, &[]).await.map_err(failed)?.get(0);
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.map_err(failed)?;
    let mark = if url.contains('?') { '&' } else { '?' };
    let own = format!("{url}{mark}application_name={schema}&options=-csearch_path%3D{schema}");
    Ok((own, PostgresGuard { url, schema }))
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

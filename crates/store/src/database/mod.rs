//! The door to the database: one SQL text, two engines.
//!
//! Reads are [`Db::rows`], [`Db::row`] and [`Db::scan`]; writes are a [`Batch`] given to
//! [`Db::commit`]. One writer takes everything that waits, executes each batch for itself, makes
//! the group durable with one fsync, and answers. There are no interactive transactions: what must
//! hold when a batch is executed is said with [`Batch::must`].
//!
//! SQL is written once. `$1` is the first parameter; types are BIGINT, TEXT, BYTEA and BOOLEAN;
//! lists are compared with `= ANY($1)` or `<> ALL($1)`; `ON CONFLICT (columns) DO …`, `RETURNING`,
//! row values, recursion and windows work; `DISTINCT ON`, `FOR UPDATE`, `::`, `LIKE` on user text
//! and arithmetic on a bare parameter do not.

mod backup;
mod batch;
mod error;
mod meter;
mod migrate;
mod postgres;
mod queue;
mod row;
mod sqlite;
mod value;

pub use backup::{Copied, backup};
pub use batch::{Batch, Commit, PosRef, Positions};
pub use error::{Error, Result};
pub use row::{Cell, FromCell, FromRow, Row};
pub use value::Value;

use meter::Meter;
use queue::{Queue, Upto};
use std::sync::Arc;
use tokio::sync::watch;

/// An open database. Cloning it is cheap and opens nothing.
#[derive(Clone)]
pub struct Db(Arc<Inside>);

struct Inside {
    engine: Engine,
    queue: Queue,
    upto: Arc<Upto>,
    meter: Arc<Meter>,
}

enum Engine {
    Sqlite(sqlite::Readers),
    Postgres(postgres::Readers),
}

impl Db {
    /// Opens `sqlite:path/to/hearth.db` (created if it is missing) or `postgres://…`, and brings
    /// its schema up to date.
    ///
    /// Fails with [`Error::Unfit`] and a sentence for the operator if the database cannot be used.
    pub async fn open(url: &str) -> Result<Self> {
        let meter = Arc::new(Meter::new());
        let (queue, jobs) = Queue::new(meter.clone());
        let (engine, upto) = if let Some(path) = url.strip_prefix("sqlite:") {
            let (readers, upto) = sqlite::open(path, jobs, meter.clone())?;
            (Engine::Sqlite(readers), upto)
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let (readers, upto) = postgres::open(url, jobs, meter.clone()).await?;
            (Engine::Postgres(readers), upto)
        } else {
            let hint = "database.url must start with sqlite: or postgres://";
            return Err(Error::Unfit(hint.into()));
        };
        Ok(Self(Arc::new(Inside { engine, queue, upto, meter })))
    }

    /// The database as it is at this moment, to be read and never changed: whatever others write
    /// from now on is not seen here, and every write is refused. It must be up to date.
    ///
    /// Fails as [`Db::open`] does. A connection that is lost ends it: all further reads fail.
    pub async fn snapshot(url: &str) -> Result<Self> {
        let meter = Arc::new(Meter::new());
        // Nobody takes what is queued, so that it is refused.
        let (queue, _) = Queue::new(meter.clone());
        let (engine, upto) = if let Some(path) = url.strip_prefix("sqlite:") {
            let (readers, upto) = sqlite::snapshot(path)?;
            (Engine::Sqlite(readers), upto)
        } else {
            let (readers, upto) = postgres::snapshot(url).await?;
            (Engine::Postgres(readers), upto)
        };
        Ok(Self(Arc::new(Inside { engine, queue, upto, meter })))
    }

    /// Whether other nodes may write to it as well.
    pub fn has_other_writers(&self) -> bool {
        matches!(self.0.engine, Engine::Postgres(_))
    }

    /// What the engine finds damaged in its own structures, at most `limit` findings in its own words.
    /// SQLite reads the whole file for it; PostgreSQL has other tools and answers nothing.
    pub async fn damage(&self, limit: usize) -> Result<Vec<String>> {
        let Engine::Sqlite(_) = &self.0.engine else { return Ok(Vec::new()) };
        let found: Vec<(String,)> = self.scan("PRAGMA integrity_check", &[]).await?;
        Ok(found.into_iter().map(|(what,)| what).filter(|what| what != "ok").take(limit).collect())
    }

    /// Why the last write failed, if it did and none has succeeded since.
    pub fn ailment(&self) -> Option<Error> {
        self.0.meter.ailment()
    }

    /// Every row of the answer. For reads that touch little: on SQLite it runs on the calling
    /// thread. The statement says how many rows there can be (`LIMIT`, a key).
    pub async fn rows<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<Vec<T>> {
        self.read(sql, params, usize::MAX).await
    }

    /// The first row of the answer, if there is one.
    pub async fn row<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<Option<T>> {
        Ok(self.read(sql, params, 1).await?.pop())
    }

    /// Every row of the answer to a read that takes long: on SQLite it leaves the async thread.
    pub async fn scan<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<Vec<T>> {
        params.iter().try_for_each(Value::check)?;
        match &self.0.engine {
            Engine::Sqlite(readers) => readers.scan(sql, params).await,
            Engine::Postgres(readers) => readers.scan(sql, params).await,
        }
    }

    /// Queues the batch and answers when it is durable. The order of calls is the order of
    /// execution. Beyond the limits of the queue it answers [`Error::Unavailable`]; callers that
    /// can wait use [`Db::commit`], which takes its turn first.
    pub fn enqueue(&self, batch: Batch) -> Commit {
        self.0.queue.push(batch, None)
    }

    /// Executes the batch and answers when it is durable, or [`Error::Refused`] if one of its
    /// `must` changed no row.
    pub async fn commit(&self, batch: Batch) -> Result<Positions> {
        let permit = self.0.queue.permit().await?;
        self.0.queue.push(batch, Some(permit)).await
    }

    /// The newest position that is published: everything at or below it is readable.
    pub fn upto(&self) -> i64 {
        self.0.upto.get()
    }

    /// Follows [`Db::upto`].
    pub fn follow(&self) -> watch::Receiver<i64> {
        self.0.upto.follow()
    }

    async fn read<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        params.iter().try_for_each(Value::check)?;
        let start = self.0.meter.read();
        let rows = match &self.0.engine {
            Engine::Sqlite(readers) => readers.rows(sql, params, rows_max).await,
            Engine::Postgres(readers) => readers.rows(sql, params, rows_max).await,
        };
        self.0.meter.read_done(start);
        rows
    }
}

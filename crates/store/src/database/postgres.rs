//! PostgreSQL: a few pipelined connections that read, one task that writes, one that listens.

mod link;
mod listener;
mod load;
mod writer;

use super::batch::Positions;
use super::meter::Meter;
use super::queue::{Job, Upto};
use super::row::{Cell, FromRow, Row};
use super::value::{Bound, NO_POSITION};
use super::{Error, Result, Value, migrate};
use bytes::BytesMut;
use futures_util::TryStreamExt;
use link::{Link, Slot};
use load::Load;
use std::error::Error as StdError;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// Connections for short reads. Reads are pipelined, so a few serve any number of callers.
const READERS: usize = 4;
/// Connections for long reads, which would hold up whatever is behind them.
const SCANNERS: usize = 2;
/// How long a short read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a scan may take.
const SCAN_TIMEOUT: Duration = Duration::from_secs(120);
/// How often a scan that takes long looks whether PostgreSQL answers at all.
const SCAN_LOOK: Duration = Duration::from_secs(5);
/// How often a read is tried whose connection turns out to be lost.
const ATTEMPTS: usize = 2;
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long sent bytes may stay unacknowledged before a connection counts as dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// What the operator is told if the database sorts otherwise than by bytes.
const COLLATION: &str = "this PostgreSQL database does not sort text by bytes in UTF-8: create it with \
     CREATE DATABASE hearth TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'";

/// What the operator is told if there is nowhere to put tables.
const NO_SCHEMA: &str = "the search_path of this database names no schema";

/// Text must sort, compare and fold case exactly as it does on SQLite.
const SORTS_BY_BYTES: &str = "SELECT 'B' < 'a' AND 'a b' < 'aB' AND 'Z' < '_' AND 'z' < 'é'
     AND lower('É') = 'É' AND getdatabaseencoding() = 'UTF8', current_schema()";

/// A name for this process that no other has, with its row: what is not there yet can not be waited for
/// when it is asked what became of the first group. Forgets those that are long gone.
const A_NAME: &str = "WITH gone AS (DELETE FROM writer WHERE seen < now() - INTERVAL '7 days')
     INSERT INTO writer (node, groups) VALUES (CAST(gen_random_uuid() AS TEXT), 0) RETURNING node";

/// Connects to the database at `url`, brings its schema up to date, and starts the writer.
pub(super) async fn open(
    url: &str,
    jobs: mpsc::UnboundedReceiver<Job>,
    meter: Arc<Meter>,
) -> Result<(Readers, Arc<Upto>)> {
    let config = config(url)?;
    let link = link::connect(&config, SCAN_TIMEOUT).await.map_err(cannot_use)?;
    let row = link.client.query_one(SORTS_BY_BYTES, &[]).await.map_err(error)?;
    if !row.get::<_, bool>(0) {
        return Err(Error::Unfit(COLLATION.into()));
    }
    let Some(schema) = row.get::<_, Option<String>>(1) else {
        return Err(Error::Unfit(NO_SCHEMA.into()));
    };
    migrate::postgres(&link.client).await?;
    let node = link.client.query_one(A_NAME, &[]).await.map_err(error)?.get(0);
    let pos = link.client.query_one("SELECT pos FROM stream", &[]).await.map_err(error)?.get(0);
    let upto = Arc::new(Upto::new(pos));
    let channel = listener::channel(&schema);
    let slots = |count, timeout| (0..count).map(|_| Slot::new(config.clone(), timeout)).collect();
    let readers = Readers {
        readers: slots(READERS, READ_TIMEOUT),
        scanners: slots(SCANNERS, SCAN_TIMEOUT),
        turn: AtomicUsize::new(0),
        load: Load::new(),
        _listener: Some(listener::start(config.clone(), &channel, upto.clone())),
    };
    writer::start(config, (channel, node), jobs, upto.clone(), meter);
    Ok((readers, upto))
}

/// Reads the database at `url` as it is now.
pub(super) async fn snapshot(url: &str) -> Result<(Readers, Arc<Upto>)> {
    let link = link::connect(&config(url)?, SCAN_TIMEOUT).await.map_err(cannot_use)?;
    // Between two reads there may be a long time.
    let begin = "SET idle_in_transaction_session_timeout = 0;
         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    link.client.batch_execute(begin).await.map_err(error)?;
    let number = async |sql| link.client.query_one(sql, &[]).await.map(|row| row.get(0)).map_err(cannot_read);
    migrate::must_be_current(number(migrate::VERSION).await?)?;
    let upto = Arc::new(Upto::new(number(migrate::NEWEST).await?));
    let readers = Readers {
        readers: Box::new([Slot::fixed(link, SCAN_TIMEOUT)]),
        scanners: Box::new([]),
        turn: AtomicUsize::new(0),
        load: Load::new(),
        _listener: None,
    };
    Ok((readers, upto))
}

/// The schema in which this hearth keeps its tables.
pub(super) async fn schema(config: &Config) -> Result<String> {
    let link = link::connect(config, READ_TIMEOUT).await.map_err(cannot_use)?;
    let row =
        link.client.query_one("SELECT CAST(current_schema() AS TEXT)", &[]).await.map_err(cannot_read)?;
    row.get::<_, Option<String>>(0).ok_or_else(|| Error::Unfit(NO_SCHEMA.into()))
}

fn cannot_read(cause: tokio_postgres::Error) -> Error {
    cannot_use(error(cause))
}

pub(super) fn config(url: &str) -> Result<Config> {
    let wrong = |error| Error::Unfit(format!("database.url cannot be read: {error}"));
    let mut config: Config = url.parse().map_err(wrong)?;
    if config.get_application_name().is_none() {
        config.application_name("hearth");
    }
    config
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_user_timeout(SILENCE_TIMEOUT)
        .keepalives_idle(SILENCE_TIMEOUT);
    Ok(config)
}

/// At the start a database that turns us away is the operator's to fix.
fn cannot_use(error: Error) -> Error {
    match error {
        Error::Broken(what) => Error::Unfit(format!("cannot use the PostgreSQL database: {what}")),
        error => error,
    }
}

/// The connections that read.
pub(super) struct Readers {
    readers: Box<[Slot]>,
    scanners: Box<[Slot]>,
    turn: AtomicUsize,
    load: Load,
    _listener: Option<listener::Listener>,
}

impl Readers {
    pub(super) async fn rows<T: FromRow>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        self.read(&self.readers, sql, params, rows_max).await
    }

    pub(super) async fn scan<T: FromRow>(&self, sql: &'static str, params: &[Value<'_>]) -> Result<Vec<T>> {
        let slots = if self.scanners.is_empty() { &self.readers } else { &self.scanners };
        self.read(slots, sql, params, usize::MAX).await
    }

    /// Returns when PostgreSQL does not answer even what takes no time. A long read can not tell that
    /// from being long.
    async fn silence(&self) {
        loop {
            tokio::time::sleep(SCAN_LOOK).await;
            if self.load.silence() < SCAN_LOOK {
                continue;
            }
            let slot = &self.readers[0];
            let Ok(link) = slot.link().await else { return };
            let asked = tokio::time::timeout(slot.timeout(), link.client.batch_execute("")).await;
            if !matches!(asked, Ok(Ok(()))) {
                return slot.give_up(&link);
            }
        }
    }

    async fn read<T: FromRow>(
        &self,
        slots: &[Slot],
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        let _waiting = self.load.begin()?;
        let is_scan = std::ptr::eq(slots, &raw const *self.scanners);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let slot = &slots[turn % slots.len()];
        let mut attempt = 1;
        loop {
            let link = slot.link().await?;
            let work = link.rows(sql, params, rows_max);
            let answer = tokio::select! {
                answer = tokio::time::timeout(slot.timeout(), work) => answer.ok(),
                () = self.silence(), if is_scan => None,
            };
            match answer {
                // The server closed the connection, or was restarted. Reading twice is harmless.
                Some(Err(Error::Unavailable(_))) if attempt < ATTEMPTS => attempt += 1,
                Some(answer) => {
                    if answer.is_ok() {
                        self.load.answered();
                    }
                    return answer;
                }
                None => {
                    slot.give_up(&link);
                    return Err(Error::Unavailable("PostgreSQL does not answer in time".into()));
                }
            }
            // Whatever is pipelined on it goes on.
            slot.give_up(&link);
        }
    }
}

impl Link {
    async fn rows<T: FromRow>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        let statement = self.prepare(sql).await?;
        let bound = bind(params, None);
        let stream = self.client.query_raw(&statement, bound).await.map_err(|e| at(sql, e))?;
        let mut stream = pin!(stream);
        let mut rows = Vec::new();
        while rows.len() < rows_max
            && let Some(row) = stream.try_next().await.map_err(|cause| at(sql, cause))?
        {
            rows.push(T::from_row(&Row::Postgres(&row)).map_err(|error| error.of_statement(sql))?);
        }
        Ok(rows)
    }
}

fn bind<'a>(
    params: &'a [Value<'a>],
    positions: Option<Positions>,
) -> impl ExactSizeIterator<Item = Bound<'a>> {
    params.iter().map(move |value| Bound { value, positions })
}

impl ToSql for Bound<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.value {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(value) => typed(value, wanted, out),
            Value::Bool(value) => typed(value, wanted, out),
            Value::Text(value) => typed(&value.as_ref(), wanted, out),
            Value::Bytes(value) => typed(&value.as_ref(), wanted, out),
            Value::Shared(value) => typed(&value.as_ref(), wanted, out),
            Value::Ints(list) => typed(&list.as_ref(), wanted, out),
            Value::Texts(list) => typed(&list.as_ref(), wanted, out),
            Value::Pos(pos) => typed(&self.positions.ok_or(NO_POSITION)?.at(*pos), wanted, out),
        }
    }

    /// Which types fit depends on the value; `typed` looks.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Writes the value if the statement takes its type; nothing is ever converted.
fn typed<T: ToSql>(
    value: &T,
    wanted: &Type,
    out: &mut BytesMut,
) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
    if T::accepts(wanted) {
        return value.to_sql(wanted, out);
    }
    let given = std::any::type_name::<T>();
    Err(format!("the statement takes {wanted} and was given {given}; a CAST may help").into())
}

/// The column at `index` of a row.
pub(super) fn cell(row: &tokio_postgres::Row, index: usize) -> Result<Cell<'_>> {
    let Some(column) = row.columns().get(index) else {
        return Err(Error::Broken(format!("there is no column {index}")));
    };
    let cell = match *column.type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(index).map(|cell| cell.map(Cell::Int)),
        Type::INT4 => row.try_get::<_, Option<i32>>(index).map(|cell| cell.map(|n| Cell::Int(n.into()))),
        Type::BOOL => row.try_get::<_, Option<bool>>(index).map(|cell| cell.map(Cell::Bool)),
        Type::TEXT => row.try_get::<_, Option<&str>>(index).map(|cell| cell.map(Cell::Text)),
        Type::BYTEA => row.try_get::<_, Option<&[u8]>>(index).map(|cell| cell.map(Cell::Bytes)),
        ref other => {
            return Err(Error::Broken(format!("column {index} is {other}; a CAST may help")));
        }
    };
    Ok(cell.map_err(error)?.unwrap_or(Cell::Null))
}

/// An error of PostgreSQL in our words.
pub(super) fn error(cause: tokio_postgres::Error) -> Error {
    let Some(told) = cause.as_db_error() else {
        let io = cause.source().is_some_and(|source| source.is::<std::io::Error>());
        return if io || cause.is_closed() || cause.to_string().contains("timed out") {
            Error::Unavailable(with_source(&cause))
        } else {
            Error::Broken(with_source(&cause))
        };
    };
    let what = format!("{} ({})", told.message(), told.code().code());
    match told.code() {
        &SqlState::DISK_FULL => Error::Full,
        &SqlState::READ_ONLY_SQL_TRANSACTION => Error::ReadOnly,
        // Connections, resources, conflicts and an operator's hand.
        code if ["08", "53", "40", "55", "57"].iter().any(|class| code.code().starts_with(class)) => {
            Error::Unavailable(what)
        }
        _ => Error::Broken(what),
    }
}

fn with_source(cause: &tokio_postgres::Error) -> String {
    match cause.source() {
        Some(source) => format!("{cause}: {source}"),
        None => cause.to_string(),
    }
}

fn at(sql: &str, cause: tokio_postgres::Error) -> Error {
    error(cause).of_statement(sql)
}

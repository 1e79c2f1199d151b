//! SQLite: pooled readers on the calling thread, one writer thread, one checkpoint thread.

mod checkpoint;
mod postman;
mod text;
mod writer;

use super::batch::Positions;
use super::meter::Meter;
use super::queue::{Job, Upto};
use super::row::{Cell, FromRow, Row};
use super::value::{Bound, NO_POSITION};
use super::{Error, Result, Value, migrate};
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use text::Texts;
use tokio::sync::{Semaphore, mpsc};

/// How long a statement waits for another process that holds the lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reads on the calling thread. A read holds one only while its thread works, so
/// more than there are threads would be idle.
const READERS_MAX: usize = 16;
/// Long reads that may run at once, on threads and connections of their own.
const SCANS_MAX: usize = 4;
/// Prepared statements that a connection keeps; more than the server has.
const STATEMENTS_MAX: usize = 512;
/// Page cache of one reader, in KiB. Any commit empties it, so it is small; what stays warm is the
/// operating system's cache. (Mapping the file would make a read by id 3.5 µs instead of 4.7, count
/// the file as our memory once per connection, and turn a broken disk into a crash.)
const READER_CACHE_KIB: i64 = 2048;
/// How often it is told how far a copy is.
const COPY_LOOK: Duration = Duration::from_millis(100);
/// Page cache of the writer, in KiB.
const WRITER_CACHE_KIB: i64 = 8192;

/// Opens the file at `path`, brings its schema up to date, and starts the writer.
pub(super) fn open(
    path: &str,
    jobs: mpsc::UnboundedReceiver<Job>,
    meter: Arc<Meter>,
) -> Result<(Readers, Arc<Upto>)> {
    let path = PathBuf::from(path);
    create(&path)?;
    let mut writer = connect(&path, true)?;
    migrate::sqlite(&mut writer)?;
    let pos = writer.query_row("SELECT pos FROM stream", [], |row| row.get(0)).map_err(error)?;
    let upto = Arc::new(Upto::new(pos));
    let checkpoints = checkpoint::start(&mut writer, connect(&path, true)?)?;
    writer::start(writer, jobs, upto.clone(), meter, checkpoints)?;
    let readers = Readers {
        pool: Arc::new(Pool { path, idle: Mutex::default() }),
        readers: Semaphore::new(READERS_MAX),
        scans: Semaphore::new(SCANS_MAX),
    };
    Ok((readers, upto))
}

/// Reads the file at `path` as it is now.
pub(super) fn snapshot(path: &str) -> Result<(Readers, Arc<Upto>)> {
    let path = PathBuf::from(path);
    if !path.exists() {
        return Err(Error::Unfit(format!("there is no database {}", path.display())));
    }
    let connection = connect(&path, false)?;
    connection.execute_batch("BEGIN").map_err(error)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get(0)).map_err(error);
    migrate::must_be_current(number(migrate::VERSION)?)?;
    let upto = Arc::new(Upto::new(number(migrate::NEWEST)?));
    let readers = Readers {
        pool: Arc::new(Pool { path, idle: Mutex::new(vec![Prepared::new(connection)]) }),
        // One read at a time, so that there is never a second connection.
        readers: Semaphore::new(1),
        scans: Semaphore::new(1),
    };
    Ok((readers, upto))
}

/// Copies the file at `from`, consistently and whatever others write meanwhile, into the empty file
/// `into`. Says now and then how many bytes of how many there are.
pub(super) async fn copy(from: &str, into: &Path, mut told: impl FnMut(u64, u64)) -> Result<()> {
    let source = connect(Path::new(from), false)?;
    let number = |sql: &str| source.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(error);
    let pages = number("PRAGMA page_count")? - number("PRAGMA freelist_count")?;
    let total = u64::try_from(pages * number("PRAGMA page_size")?).unwrap_or(0);
    let target = into.display().to_string();
    let mut copying = tokio::task::spawn_blocking(move || {
        source.execute("VACUUM INTO ?1", [target]).map(drop).map_err(error)
    });
    loop {
        tokio::select! {
            done = &mut copying => {
                return done.map_err(|error| Error::Broken(format!("a copy stopped: {error}")))?;
            }
            () = tokio::time::sleep(COPY_LOOK) => {
                told(std::fs::metadata(into).map_or(0, |file| file.len()).min(total), total);
            }
        }
    }
}

/// Creates the file if it is missing, for its owner alone: it holds access tokens. SQLite gives
/// the files beside it the same mode.
fn create(path: &Path) -> Result<()> {
    let failed =
        |error: std::io::Error| Error::Unfit(format!("cannot open the database {}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(failed)
}

/// One connection, set up the way everything here relies on.
fn connect(path: &Path, write: bool) -> Result<Connection> {
    let access = if write { OpenFlags::SQLITE_OPEN_READ_WRITE } else { OpenFlags::SQLITE_OPEN_READ_ONLY };
    let connection =
        Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(error)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(error)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Else a statement on a table with a partial index is planned anew whenever a parameter changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(error)?;
    rusqlite::vtab::array::load_module(&connection).map_err(error)?;
    let cache_kib = if write { WRITER_CACHE_KIB } else { READER_CACHE_KIB };
    let set = |name: &str, value: &dyn ToSql| connection.pragma_update(None, name, value).map_err(error);
    if write {
        set("journal_mode", &"wal")?;
        set("synchronous", &"full")?;
        // Checkpoints have their own thread: here they would keep a commit waiting.
        set("wal_autocheckpoint", &0)?;
        set("journal_size_limit", &checkpoint::LOG_KEPT_BYTES)?;
    }
    set("cache_size", &-cache_kib)?;
    set("temp_store", &"memory")?;
    Ok(connection)
}

/// The connections that read.
pub(super) struct Readers {
    pool: Arc<Pool>,
    readers: Semaphore,
    scans: Semaphore,
}

impl Readers {
    /// Reads on the calling thread: a thread hop costs more than a read by id.
    pub(super) async fn rows<T: FromRow>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        let _turn = self.readers.acquire().await.map_err(|_| closed())?;
        self.pool.read(sql, params, rows_max)
    }

    /// Reads on a thread that may block. Works on every kind of tokio runtime.
    pub(super) async fn scan<T: FromRow + Send + 'static>(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> Result<Vec<T>> {
        let _turn = self.scans.acquire().await.map_err(|_| closed())?;
        let pool = self.pool.clone();
        let params: Vec<Value<'static>> = params.iter().cloned().map(Value::into_owned).collect();
        let read = tokio::task::spawn_blocking(move || pool.read(sql, &params, usize::MAX));
        read.await.map_err(|error| Error::Broken(format!("a scan stopped: {error}")))?
    }
}

fn closed() -> Error {
    Error::Unavailable("the database is closed".into())
}

/// Connections that wait for the next read. They are opened when none waits and kept afterwards.
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Prepared>>,
}

impl Pool {
    fn read<T: FromRow>(&self, sql: &'static str, params: &[Value<'_>], rows_max: usize) -> Result<Vec<T>> {
        let idle = self.idle.lock().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Prepared::new(connect(&self.path, false)?),
        };
        let rows = reader.rows(sql, params, rows_max);
        self.idle.lock().push(reader);
        rows
    }
}

/// A connection and its prepared statements.
struct Prepared {
    connection: Connection,
    texts: Texts,
}

impl Prepared {
    fn new(connection: Connection) -> Self {
        Self { connection, texts: Texts::default() }
    }

    fn rows<T: FromRow>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        rows_max: usize,
    ) -> Result<Vec<T>> {
        let text = self.texts.of(sql);
        let mut statement = self.connection.prepare_cached(text).map_err(|cause| at(sql, cause))?;
        bind(&mut statement, sql, params, None)?;
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(error)? {
            rows.push(T::from_row(&Row::Sqlite(row)).map_err(|error| error.of_statement(sql))?);
            if rows.len() == rows_max {
                break;
            }
        }
        Ok(rows)
    }

    /// Executes a statement that answers no rows; says how many it changed.
    fn execute(&mut self, sql: &'static str, params: &[Value<'_>], positions: Positions) -> Result<usize> {
        let text = self.texts.of(sql);
        let mut statement = self.connection.prepare_cached(text).map_err(|cause| at(sql, cause))?;
        bind(&mut statement, sql, params, Some(positions))?;
        statement.raw_execute().map_err(|cause| at(sql, cause))
    }
}

fn bind(
    statement: &mut Statement<'_>,
    sql: &str,
    params: &[Value<'_>],
    positions: Option<Positions>,
) -> Result<()> {
    let wanted = statement.parameter_count();
    if wanted != params.len() {
        let given = params.len();
        return Err(Error::Broken(format!("{wanted} parameters wanted, {given} given: {sql}")));
    }
    for (index, value) in params.iter().enumerate() {
        let bound = Bound { value, positions };
        statement.raw_bind_parameter(index + 1, bound).map_err(|cause| at(sql, cause))?;
    }
    Ok(())
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let cell = match self.value {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Bool(value) => ValueRef::Integer((*value).into()),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Bytes(value) => ValueRef::Blob(value),
            Value::Shared(value) => ValueRef::Blob(value),
            Value::Ints(list) => return Ok(array(list.iter().map(|value| (*value).into()))),
            Value::Texts(list) => return Ok(array(list.iter().map(|text| text.clone().into()))),
            Value::Pos(pos) => {
                let outside = || rusqlite::Error::ToSqlConversionFailure(NO_POSITION.into());
                ValueRef::Integer(self.positions.ok_or_else(outside)?.at(*pos))
            }
        };
        Ok(ToSqlOutput::Borrowed(cell))
    }
}

fn array(values: impl Iterator<Item = rusqlite::types::Value>) -> ToSqlOutput<'static> {
    ToSqlOutput::from_rc(Rc::new(values.collect::<Vec<_>>()), c"rarray")
}

/// The column at `index` of a row.
pub(super) fn cell<'a>(row: &'a rusqlite::Row<'_>, index: usize) -> Result<Cell<'a>> {
    Ok(match row.get_ref(index).map_err(error)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Text(bytes) => Cell::Text(
            std::str::from_utf8(bytes)
                .map_err(|_| Error::Broken(format!("column {index} holds text that is not UTF-8")))?,
        ),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
        ValueRef::Real(_) => {
            return Err(Error::Broken(format!("column {index} holds a fraction")));
        }
    })
}

/// An error of SQLite in our words.
pub(super) fn error(cause: rusqlite::Error) -> Error {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::Full,
        Some(ErrorCode::ReadOnly) => Error::ReadOnly,
        // The disk may come back, or the limit on the size of files be lifted.
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen,
        ) => Error::Unavailable(cause.to_string()),
        _ => Error::Broken(cause.to_string()),
    }
}

fn at(sql: &str, cause: rusqlite::Error) -> Error {
    error(cause).of_statement(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    #[test]
    fn other_parameters_do_not_make_a_statement_be_planned_anew() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("planned.db");
        create(&path)?;
        let connection = connect(&path, true)?;
        connection
            .execute_batch("CREATE TABLE t (a, b); CREATE INDEX t_a ON t (a) WHERE b = 'x'")
            .map_err(error)?;
        let mut statement = connection.prepare("SELECT a FROM t WHERE b = $1").map_err(error)?;
        for b in ["x", "y", "x"] {
            let found = statement.query([b]).and_then(|mut rows| rows.next().map(|row| row.is_some()));
            assert!(!found.map_err(error)?);
        }
        assert_eq!(statement.get_status(StatementStatus::RePrepare), 0);
        Ok(())
    }
}

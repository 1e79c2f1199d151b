//! Moves what was committed from the log into the file, where no commit has to wait for it.
//!
//! SQLite would checkpoint inside the commit that makes the log too long, and that commit would
//! wait for two fsyncs and thousands of pages. Here a thread of its own moves the bulk while
//! commits go on; the writer then moves the little that came meanwhile, which lets SQLite start
//! the log from its beginning again.

use super::error;
use crate::database::{Error, Result};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A log of so many pages (8 MiB) is worth a checkpoint.
const LOG_PAGES: i64 = 2048;
/// What is left of a log file that had to grow further, in bytes.
pub(super) const LOG_KEPT_BYTES: i64 = 64 << 20;
/// Commits between two looks at the length of the log.
const COMMITS_PER_LOOK: u32 = 16;

/// The writer's side of the checkpoint thread. Dropping it ends the thread.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    /// The thread moved the bulk; the rest is the writer's.
    moved: Arc<AtomicBool>,
    commits: std::cell::Cell<u32>,
}

/// Starts the thread.
pub(super) fn start(connection: Connection) -> Result<Checkpoints> {
    let (wake, woken) = sync_channel(1);
    let moved = Arc::new(AtomicBool::new(false));
    let checkpoints = Checkpoints { wake, moved: moved.clone(), commits: 0.into() };
    std::thread::Builder::new()
        .name("database-log".into())
        .spawn(move || work(&connection, &woken, &moved))
        .map_err(|error| Error::Unavailable(format!("cannot start checkpoints: {error}")))?;
    Ok(checkpoints)
}

fn work(connection: &Connection, woken: &Receiver<()>, moved: &AtomicBool) {
    while woken.recv().is_ok() {
        match log(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
            Ok(_) => moved.store(true, Ordering::Release),
            Err(error) => tracing::error!(%error, "checkpoint failed"),
        }
    }
}

impl Checkpoints {
    /// Called by the writer between two groups.
    pub(super) fn after_commit(&self, connection: &mut Connection) {
        let rest = self.moved.swap(false, Ordering::Acquire);
        let commits = self.commits.get() + 1;
        self.commits.set(if commits == COMMITS_PER_LOOK { 0 } else { commits });
        let look = match (rest, commits == COMMITS_PER_LOOK) {
            (true, _) => "PRAGMA wal_checkpoint(PASSIVE)",
            (false, true) => "PRAGMA wal_checkpoint(NOOP)",
            (false, false) => return,
        };
        match log(connection, look) {
            // Full means that it was woken already.
            Ok(Log { pages, moved }) if pages - moved >= LOG_PAGES => drop(self.wake.try_send(())),
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "checkpoint failed"),
        }
    }
}

struct Log {
    pages: i64,
    moved: i64,
}

fn log(connection: &Connection, pragma: &'static str) -> Result<Log> {
    let mut statement = connection.prepare_cached(pragma).map_err(error)?;
    let read = |row: &rusqlite::Row<'_>| Ok(Log { pages: row.get(1)?, moved: row.get(2)? });
    statement.query_row([], read).map_err(error)
}

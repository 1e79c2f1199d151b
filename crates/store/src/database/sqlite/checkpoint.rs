//! Moves what was committed from the log into the file, where no commit has to wait for it.
//!
//! SQLite would checkpoint inside the commit that makes the log too long, and that commit would
//! wait for two fsyncs and thousands of pages. Here a thread of its own moves the bulk while
//! commits go on; the writer then moves the little that came meanwhile, which lets SQLite start
//! the log from its beginning again.

use super::error;
use crate::database::{Error, Result};
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A log of so many pages (8 MiB) is worth a checkpoint.
const LOG_PAGES: i64 = 2048;
/// A log of so many pages (64 MiB) means that some reader was always in the way of starting it from
/// its beginning: from here on every commit tries.
const LOG_PAGES_LONG: i64 = 16384;
/// What is left of a log file that had to grow further, in bytes.
pub(super) const LOG_KEPT_BYTES: i64 = 64 << 20;
/// Moves what can be moved without anybody waiting.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The writer's side of the checkpoint thread. Dropping it ends the thread.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    /// The thread moved the bulk; the rest is the writer's.
    moved: Arc<AtomicBool>,
    long: Cell<bool>,
}

/// Starts the thread.
pub(super) fn start(connection: Connection) -> Result<Checkpoints> {
    let (wake, woken) = sync_channel(1);
    let moved = Arc::new(AtomicBool::new(false));
    let checkpoints = Checkpoints { wake, moved: moved.clone(), long: Cell::new(false) };
    std::thread::Builder::new()
        .name("database-log".into())
        .spawn(move || work(&connection, &woken, &moved))
        .map_err(|error| Error::Unavailable(format!("cannot start checkpoints: {error}")))?;
    Ok(checkpoints)
}

fn work(connection: &Connection, woken: &Receiver<()>, moved: &AtomicBool) {
    while woken.recv().is_ok() {
        match log(connection, PASSIVE) {
            Ok(_) => moved.store(true, Ordering::Release),
            Err(error) => tracing::error!(%error, "checkpoint failed"),
        }
    }
}

impl Checkpoints {
    /// Called by the writer between two groups.
    pub(super) fn after_commit(&self, connection: &Connection) {
        // Looking at the log costs nothing that can be measured beside a commit.
        let rest = self.moved.swap(false, Ordering::Acquire) || self.long.get();
        let look = if rest { PASSIVE } else { "PRAGMA wal_checkpoint(NOOP)" };
        match log(connection, look) {
            Ok(log) => {
                self.long.set(log.pages >= LOG_PAGES_LONG);
                if log.pages - log.moved >= LOG_PAGES {
                    // Full means that it was woken already.
                    let _ = self.wake.try_send(());
                }
            }
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

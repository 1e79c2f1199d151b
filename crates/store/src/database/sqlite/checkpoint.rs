//! Moves what was committed from the log into the file, where no commit has to wait for it.
//!
//! SQLite would checkpoint inside the commit that makes the log too long, and that commit would
//! wait for two fsyncs and thousands of pages. Here a thread of its own moves the bulk while
//! commits go on; the writer then moves the little that came meanwhile, which lets SQLite start
//! the log from its beginning again.

use super::error;
use crate::database::{Error, Result};
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::cell::Cell;
use std::ffi::c_int;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// A log of so many pages (8 MiB) is worth a checkpoint.
const LOG_PAGES: i64 = 2048;
/// A log of so many pages (64 MiB) means that some reader was always in the way of starting it from
/// its beginning: from here on every commit tries.
const LOG_PAGES_LONG: i64 = 16384;
/// What is left of a log file that had to grow further, in bytes.
pub(super) const LOG_KEPT_BYTES: i64 = 64 << 20;

/// The writer's side of the checkpoint thread. Dropping it ends the thread.
pub(super) struct Checkpoints {
    wake: SyncSender<()>,
    /// The thread is through: the rest is the writer's.
    done: Arc<AtomicBool>,
    /// Pages in the log after the newest commit; SQLite tells.
    pages: Arc<AtomicI64>,
    /// How many of them were moved.
    moved: Cell<i64>,
    woken: Cell<bool>,
    long: Cell<bool>,
}

/// Starts the thread, for the log that `writer` writes.
pub(super) fn start(writer: &mut Connection, connection: Connection) -> Result<Checkpoints> {
    let (wake, woken) = sync_channel(1);
    let (done, pages) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
    let (done_there, pages_there) = (done.clone(), pages.clone());
    let told = move |_: &mut Wal, count: c_int| {
        pages_there.store(count.into(), Ordering::Relaxed);
        Ok(())
    };
    writer.wal_hook(Some(told)).map_err(error)?;
    std::thread::Builder::new()
        .name("database-log".into())
        .spawn(move || work(&connection, &woken, &done_there))
        .map_err(|error| Error::Unavailable(format!("cannot start checkpoints: {error}")))?;
    let (moved, woken, long) = (Cell::new(0), Cell::new(false), Cell::new(false));
    Ok(Checkpoints { wake, done, pages, moved, woken, long })
}

fn work(connection: &Connection, woken: &Receiver<()>, done: &AtomicBool) {
    while woken.recv().is_ok() {
        checkpoint(connection);
        done.store(true, Ordering::Release);
    }
}

impl Checkpoints {
    /// Called by the writer between two groups.
    pub(super) fn after_commit(&self, connection: &Connection) {
        if self.done.swap(false, Ordering::Acquire) || self.long.get() {
            self.woken.set(false);
            if let Some(log) = checkpoint(connection) {
                self.moved.set(log.moved);
                self.long.set(log.pages >= LOG_PAGES_LONG);
            }
        }
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.moved.get() {
            // The log began anew.
            self.moved.set(0);
        }
        if pages - self.moved.get() >= LOG_PAGES && !self.woken.replace(true) {
            let _ = self.wake.try_send(());
        }
    }
}

struct Log {
    pages: i64,
    moved: i64,
}

/// Moves what can be moved without anybody waiting.
fn checkpoint(connection: &Connection) -> Option<Log> {
    let read = |row: &rusqlite::Row<'_>| Ok(Log { pages: row.get(1)?, moved: row.get(2)? });
    let statement = connection.prepare_cached("PRAGMA wal_checkpoint(PASSIVE)");
    let log = statement.and_then(|mut statement| statement.query_row([], read));
    log.inspect_err(|error| tracing::error!(%error, "checkpoint failed")).ok()
}

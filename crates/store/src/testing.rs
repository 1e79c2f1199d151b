//! Fresh databases for tests, of both engines.

use crate::database::{Error, Result};
use std::path::PathBuf;

/// A directory that is removed when it is dropped.
pub struct SqliteGuard(PathBuf);

impl Drop for SqliteGuard {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The URL of a new SQLite database, which lives as long as the guard.
pub fn fresh_sqlite() -> Result<(String, SqliteGuard)> {
    let process = std::process::id();
    for attempt in 0.. {
        let path = std::env::temp_dir().join(format!("hearth-test-{process}-{attempt}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok((format!("sqlite:{}/hearth.db", path.display()), SqliteGuard(path))),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::Unfit(format!("no directory for a test: {error}"))),
        }
    }
    Err(Error::Unfit("no directory for a test".into()))
}

//! The one thread that writes, and its group commit.

use super::checkpoint::Checkpoints;
use super::postman::Postman;
use super::{Prepared, error};
use crate::database::batch::Positions;
use crate::database::meter::Meter;
use crate::database::queue::{GROUP_BATCHES_MAX, Job, Upto, letters_of_group};
use crate::database::{Error, Result};
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Starts the writer. It ends when the last [`Db`](crate::Db) is dropped and the queue is empty.
pub(super) fn start(
    connection: Connection,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    upto: Arc<Upto>,
    meter: Arc<Meter>,
    checkpoints: Checkpoints,
) -> Result<()> {
    let mut writer = Writer { prepared: Prepared::new(connection) };
    let postman = Postman::start()?;
    let work = move || {
        let mut group = Vec::new();
        while jobs.blocking_recv_many(&mut group, GROUP_BATCHES_MAX) > 0 {
            upto.hold();
            let outcome = writer.commit(&group).map_err(|error| writer.explain(error));
            postman.post(letters_of_group(&mut group, outcome, &upto, &meter));
            checkpoints.after_commit(&writer.prepared.connection);
        }
    };
    std::thread::Builder::new()
        .name("database-writer".into())
        .spawn(work)
        .map(drop)
        .map_err(|error| Error::Unavailable(format!("cannot start the writer: {error}")))
}

struct Writer {
    prepared: Prepared,
}

impl Writer {
    /// Executes the group in one transaction and makes it durable: an answer for each batch, or
    /// one error for all of them.
    fn commit(&mut self, group: &[Job]) -> Result<Vec<Result<Positions>>> {
        self.control("BEGIN IMMEDIATE")?;
        let outcome = self.execute(group).and_then(|answers| {
            self.control("COMMIT")?;
            Ok(answers)
        });
        if outcome.is_err() && !self.prepared.connection.is_autocommit() {
            self.control("ROLLBACK")?;
        }
        outcome
    }

    /// To SQLite a file that turned read-only is an I/O error like any other.
    fn explain(&self, error: Error) -> Error {
        let path = self.prepared.connection.path().filter(|_| matches!(error, Error::Unavailable(_)));
        let opened = path.map(|path| std::fs::OpenOptions::new().append(true).open(path));
        match opened {
            Some(Err(cause)) if is_read_only(&cause) => Error::ReadOnly,
            _ => error,
        }
    }

    fn execute(&mut self, group: &[Job]) -> Result<Vec<Result<Positions>>> {
        let connection = &self.prepared.connection;
        let pos = connection
            .prepare_cached("SELECT pos FROM stream")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)))
            .map_err(error)?;
        let mut newest = pos;
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let positions = Positions { first: newest + 1 };
            let answer = self.batch(job, positions, group.len() == 1)?;
            if answer.is_ok() {
                newest += i64::from(job.batch.positions);
            }
            answers.push(answer);
        }
        if newest > pos {
            let connection = &self.prepared.connection;
            connection
                .prepare_cached("UPDATE stream SET pos = ?1")
                .and_then(|mut statement| statement.execute([newest]))
                .map_err(error)?;
        }
        Ok(answers)
    }

    /// Executes one batch: the inner result is its answer, the outer error ends the whole group.
    fn batch(&mut self, job: &Job, at: Positions, alone: bool) -> Result<Result<Positions>> {
        let statements = &job.batch.statements;
        // A statement that fails or changes no row leaves nothing behind by itself.
        let savepoint = !alone && statements.len() > 1;
        if savepoint {
            self.control("SAVEPOINT batch")?;
        }
        let mut answer = Ok(at);
        for (index, statement) in statements.iter().enumerate() {
            match self.prepared.execute(statement.sql, &statement.params, at) {
                Ok(0) if statement.must => answer = Err(Error::Refused { statement: index }),
                Ok(_) => continue,
                Err(error) => answer = Err(error),
            }
            break;
        }
        match &answer {
            // SQLite itself gave up the transaction (no room, an I/O error), or the batch is the
            // whole transaction: nothing is left to go on with.
            Err(error) if alone || self.prepared.connection.is_autocommit() => {
                return Err(error.clone());
            }
            Err(_) if savepoint => {
                self.control("ROLLBACK TO batch")?;
                self.control("RELEASE batch")?;
            }
            Ok(_) if savepoint => self.control("RELEASE batch")?,
            _ => {}
        }
        Ok(answer)
    }

    fn control(&self, sql: &'static str) -> Result<()> {
        let statement = self.prepared.connection.prepare_cached(sql);
        statement.and_then(|mut statement| statement.execute([])).map(drop).map_err(error)
    }
}

fn is_read_only(cause: &std::io::Error) -> bool {
    matches!(cause.kind(), std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied)
}

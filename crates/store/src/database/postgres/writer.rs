//! The one task that writes, and its group commit.
//!
//! The first statement of a group takes the row of `stream`, so that on any number of nodes one
//! group runs at a time and commit order is position order. Then all statements of all batches are
//! sent without waiting for one another. Only if a batch of the group fails is the group done
//! again step by step, with a savepoint for each batch.

use super::link::{Link, Slot};
use super::{CONNECT_TIMEOUT, at, bind, error};
use crate::database::batch::{Positions, Statement};
use crate::database::meter::Meter;
use crate::database::queue::{GROUP_BATCHES_MAX, Job, Upto, answer_group};
use crate::database::{Error, Result};
use futures_util::future::{MaybeDone, maybe_done};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_postgres::Config;

/// How long a group may take; beyond it the database counts as unavailable.
const GROUP_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a group is tried that PostgreSQL gave up before its commit.
const ATTEMPTS: usize = 2;

const ADVANCE: &str = "UPDATE stream SET pos = pos + $1 RETURNING pos";
const CORRECT: &str = "UPDATE stream SET pos = $1";
const NOTIFY: &str = "SELECT pg_notify($1, CAST(CAST($2 AS BIGINT) AS TEXT))";

type Answers = Vec<Result<Positions>>;

/// Starts the writer. It ends when the last [`Db`](crate::Db) is dropped and the queue is empty.
pub(super) fn start(
    config: Config,
    channel: String,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    upto: Arc<Upto>,
    meter: Arc<Meter>,
) {
    let writer = Writer { slot: Slot::new(config, GROUP_TIMEOUT), channel };
    tokio::spawn(async move {
        let mut group = Vec::new();
        while jobs.recv_many(&mut group, GROUP_BATCHES_MAX).await > 0 {
            upto.hold();
            let outcome = writer.commit(&group).await;
            answer_group(&mut group, outcome, &upto, &meter);
        }
    });
}

struct Writer {
    slot: Slot,
    channel: String,
}

/// Why a group was not committed.
enum Failure {
    /// Nothing was kept.
    Nothing(Error),
    /// It failed while committing: whether it was kept is unknown.
    Unknown(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Nothing(error)
    }
}

impl Writer {
    async fn commit(&self, group: &[Job]) -> Result<Answers> {
        let mut attempt = 1;
        loop {
            let link = self.slot.link().await?;
            let work = self.attempt(&link, group);
            let Ok(outcome) = tokio::time::timeout(GROUP_TIMEOUT, work).await else {
                self.slot.give_up(&link);
                return Err(Error::Unavailable("PostgreSQL does not answer in time".into()));
            };
            match outcome {
                Ok(answers) => return Ok(answers),
                Err(Failure::Nothing(Error::Unavailable(_))) if attempt < ATTEMPTS => {
                    // The connection was lost, or another one was in the way. Dropping it rolls
                    // back whatever it began.
                    self.slot.give_up(&link);
                    attempt += 1;
                }
                Err(Failure::Nothing(error) | Failure::Unknown(error)) => {
                    self.end(&link).await;
                    return Err(error);
                }
            }
        }
    }

    /// Leaves no transaction open, whatever is wrong with it.
    async fn end(&self, link: &Arc<Link>) {
        let rollback = link.client.batch_execute("ROLLBACK");
        if !matches!(tokio::time::timeout(CONNECT_TIMEOUT, rollback).await, Ok(Ok(()))) {
            self.slot.give_up(link);
        }
    }

    async fn attempt(&self, link: &Link, group: &[Job]) -> Result<Answers, Failure> {
        let session = Session { link, channel: &self.channel };
        for statement in group.iter().flat_map(|job| &job.batch.statements) {
            // Here no other node waits for us. One that cannot be prepared yet is tried again
            // where it is executed.
            let _ = link.prepare(statement.sql).await;
        }
        let total = group.iter().map(|job| i64::from(job.batch.positions)).sum();
        let newest = session.begin(total).await?;
        if let Some(answers) = session.all(group, newest - total).await {
            session.commit(newest, total > 0).await?;
            return Ok(answers);
        }
        session.control("ROLLBACK").await?;
        let start = session.begin(total).await? - total;
        let (answers, newest) = session.each(group, start).await?;
        if newest < start + total {
            session.execute_now(CORRECT, &[newest.into()]).await?;
        }
        session.commit(newest, newest > start).await?;
        Ok(answers)
    }
}

/// A statement that was sent and whose answer may have come.
type Sent<'a> = Pin<Box<MaybeDone<Execution<'a>>>>;
type Execution<'a> = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'a>>;

/// One transaction on one connection.
struct Session<'a> {
    link: &'a Link,
    channel: &'a str,
}

impl<'a> Session<'a> {
    /// Begins, and takes `total` positions; answers the last of them.
    async fn begin(&self, total: i64) -> Result<i64> {
        let advance = self.link.prepare(ADVANCE).await?;
        let row = async {
            self.link.client.query_one(&advance, &[&total]).await.map_err(|cause| at(ADVANCE, cause))
        };
        // Sent together, in this order.
        let (begun, row) = futures_util::future::join(self.control("BEGIN"), row).await;
        begun?;
        Ok(row?.get(0))
    }

    /// Executes all batches at once; nothing if one of them failed.
    async fn all(&self, group: &'a [Job], start: i64) -> Option<Answers> {
        let mut first = start + 1;
        let mut answers = Vec::with_capacity(group.len());
        let mut sent = Vec::new();
        for job in group {
            let positions = Positions { first };
            first += i64::from(job.batch.positions);
            answers.push(Ok(positions));
            for statement in &job.batch.statements {
                sent.push((statement.must, self.send(statement, positions).await));
            }
        }
        let mut fine = true;
        for (must, execution) in sent {
            fine &= finish(execution).await.is_ok_and(|rows| rows > 0 || !must);
        }
        fine.then_some(answers)
    }

    /// Executes one batch after the other; answers for each, and the newest position in use.
    async fn each(&self, group: &'a [Job], start: i64) -> Result<(Answers, i64)> {
        let mut newest = start;
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            self.control("SAVEPOINT batch").await?;
            let positions = Positions { first: newest + 1 };
            let answer = self.one(&job.batch.statements, positions).await;
            if self.link.client.is_closed() {
                return Err(Error::Unavailable("the connection to PostgreSQL was lost".into()));
            }
            match answer {
                Ok(()) => {
                    self.control("RELEASE batch").await?;
                    newest += i64::from(job.batch.positions);
                    answers.push(Ok(positions));
                }
                Err(error) => {
                    self.control("ROLLBACK TO batch; RELEASE batch").await?;
                    answers.push(Err(error));
                }
            }
        }
        Ok((answers, newest))
    }

    /// Executes the statements of one batch.
    async fn one(&self, statements: &'a [Statement], positions: Positions) -> Result<()> {
        let mut sent = Vec::with_capacity(statements.len());
        for statement in statements {
            sent.push((statement.must, self.send(statement, positions).await));
        }
        let mut outcome = Ok(());
        for (index, (must, execution)) in sent.into_iter().enumerate() {
            // Those after a failed one only say that one failed; but each must be awaited.
            let rows = finish(execution).await;
            outcome = outcome.and(match rows {
                Ok(0) if must => Err(Error::Refused { statement: index }),
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            });
        }
        outcome
    }

    /// Sends the statement without waiting for its answer.
    async fn send(&self, statement: &'a Statement, positions: Positions) -> Sent<'a> {
        let client = &self.link.client;
        let sql = statement.sql;
        // Nothing to wait for, unless the statement could not be prepared before: what it needs may
        // have been made by the statement before it.
        let prepared = self.link.prepare(sql).await;
        let execution: Execution<'a> = Box::pin(async move {
            let bound = bind(&statement.params, Some(positions));
            client.execute_raw(&prepared?, bound).await.map_err(|cause| at(sql, cause))
        });
        let mut sent = Box::pin(maybe_done(execution));
        // The first poll sends; that it does so in order is what the order of execution rests on.
        poll_fn(|context| {
            let _ = sent.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
        sent
    }

    async fn execute_now(&self, sql: &'static str, params: &[crate::Value<'_>]) -> Result<u64> {
        let prepared = self.link.prepare(sql).await?;
        let client = &self.link.client;
        client.execute_raw(&prepared, bind(params, None)).await.map_err(|cause| at(sql, cause))
    }

    /// Makes the transaction durable, and tells the other nodes if it moved the position.
    async fn commit(&self, newest: i64, moved: bool) -> Result<(), Failure> {
        if moved {
            self.execute_now(NOTIFY, &[self.channel.into(), newest.into()]).await?;
        }
        self.control("COMMIT").await.map_err(Failure::Unknown)
    }

    async fn control(&self, sql: &'static str) -> Result<()> {
        self.link.client.batch_execute(sql).await.map_err(error)
    }
}

async fn finish(mut sent: Sent<'_>) -> Result<u64> {
    sent.as_mut().await;
    sent.as_mut().take_output().unwrap_or_else(|| Err(Error::Broken("nothing was sent".into())))
}

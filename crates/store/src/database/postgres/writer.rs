//! The one task that writes, and its group commit.
//!
//! The first statement of a group takes the row of `stream`, so that on any number of nodes one
//! group runs at a time and commit order is position order. Then all statements of all batches are
//! sent without waiting for one another. Only if a batch of the group fails is the group done
//! again step by step, with a savepoint for each batch.
//!
//! A connection can be lost after COMMIT was sent and before its answer came. So each group leaves
//! its number in the row that the table `writer` has for this process: there it can be seen later
//! whether the group is kept. Until that is known nothing else is written, no position is
//! published and nothing happens in memory; those who wait are told to come back.

use super::link::{Link, Slot};
use super::{CONNECT_TIMEOUT, at, bind, error};
use crate::database::batch::{Positions, Statement};
use crate::database::meter::Meter;
use crate::database::queue::{Aftermath, GROUP_BATCHES_MAX, Job, Letter, Upto, letters, letters_of_group};
use crate::database::{Error, Result};
use futures_util::future::{MaybeDone, maybe_done};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::Config;

/// How long a group may take until its commit, and the commit after that; beyond it the database
/// counts as unavailable.
const GROUP_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a group is tried that PostgreSQL gave up before its commit.
const ATTEMPTS: usize = 2;
/// How long those who wait for a group are kept waiting while nobody knows whether it is kept.
const DOUBT_MAX: Duration = Duration::from_secs(5);
/// The pause before it is looked again.
const DOUBT_PAUSE: Duration = Duration::from_millis(100);

const ADVANCE: &str = "WITH mark AS (INSERT INTO writer (node, groups) VALUES ($2, $3)
         ON CONFLICT (node) DO UPDATE SET groups = excluded.groups, seen = now())
     UPDATE stream SET pos = pos + $1 RETURNING pos";
/// The number of the last group of a process that was kept. Waits for one that is still at work.
const KEPT: &str = "SELECT groups FROM writer WHERE node = $1 FOR UPDATE";
const CORRECT: &str = "UPDATE stream SET pos = $1";
const NOTIFY: &str = "SELECT pg_notify($1, CAST(CAST($2 AS BIGINT) AS TEXT))";

type Answers = Vec<Result<Positions>>;

/// Starts the writer. It ends when the last [`Db`](crate::Db) is dropped and the queue is empty.
/// `node` is a name that no other process has.
pub(super) fn start(
    config: Config,
    (channel, node): (String, String),
    mut jobs: mpsc::UnboundedReceiver<Job>,
    upto: Arc<Upto>,
    meter: Arc<Meter>,
) {
    let slot = Slot::new(config, GROUP_TIMEOUT);
    let mut writer = Writer { slot, channel, node, groups: 0 };
    tokio::spawn(async move {
        let mut group = Vec::new();
        let mut doubt = None;
        loop {
            tokio::select! {
                received = jobs.recv_many(&mut group, GROUP_BATCHES_MAX) => if received == 0 { break },
                // Readers wait for what becomes of it, writers or not.
                () = sleep(DOUBT_PAUSE), if doubt.is_some() => {}
            }
            writer.settle(&mut group, &mut doubt, &upto, &meter).await;
            if !group.is_empty() {
                doubt = writer.work(&mut group, &upto, &meter).await;
            }
        }
    });
}

struct Writer {
    slot: Slot,
    channel: String,
    node: String,
    /// How many groups were begun: the number of the last one.
    groups: i64,
}

/// Why a group was not committed.
enum Failure {
    /// Nothing was kept.
    Nothing(Error),
    /// It failed while committing: whether it was kept, so that these are the answers, is unknown.
    Unknown(Answers, Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Nothing(error)
    }
}

fn deliver(letters: Vec<Letter>) {
    letters.into_iter().for_each(Letter::deliver);
}

fn silent() -> Error {
    Error::Unavailable("PostgreSQL does not answer in time".into())
}

impl Writer {
    /// Commits the group and answers it. If nobody knows whether it is kept, answers what follows
    /// from it if it is.
    async fn work(&mut self, group: &mut Vec<Job>, upto: &Upto, meter: &Meter) -> Option<Aftermath> {
        upto.hold();
        match self.commit(group).await {
            Ok(answers) => deliver(letters_of_group(group, Ok(answers), upto, meter)),
            Err(Failure::Nothing(error)) => deliver(letters_of_group(group, Err(error), upto, meter)),
            Err(Failure::Unknown(answers, error)) => {
                tracing::warn!(%error, "nobody knows whether a commit was kept");
                let aftermath = Aftermath::of(group, &answers);
                let answers = vec![Err(error); group.len()];
                deliver(letters(group, answers, meter));
                return Some(aftermath);
            }
        }
        None
    }

    /// Finds out what became of a group in doubt. While that can not be, the next one is refused.
    async fn settle(&self, group: &mut Vec<Job>, doubt: &mut Option<Aftermath>, upto: &Upto, meter: &Meter) {
        let Some(aftermath) = doubt.take() else { return };
        match self.kept(DOUBT_MAX).await {
            Ok(kept) => {
                tracing::warn!(kept, "it is known now what became of the commit");
                if kept { aftermath.happen(upto) } else { upto.release(None) }
            }
            Err(error) => {
                *doubt = Some(aftermath);
                let answers = vec![Err(error); group.len()];
                deliver(letters(group, answers, meter));
            }
        }
    }

    /// Whether the last group was kept.
    async fn kept(&self, time_max: Duration) -> Result<bool> {
        let link = self.slot.link().await?;
        let look = async {
            let statement = link.prepare(KEPT).await?;
            let row = link.client.query_opt(&statement, &[&self.node]).await;
            row.map_err(|cause| at(KEPT, cause))
        };
        match timeout(time_max, look).await {
            Ok(Ok(row)) => Ok(row.is_some_and(|row| row.get::<_, i64>(0) == self.groups)),
            failed => {
                self.slot.give_up(&link);
                Err(failed.map_or_else(|_| silent(), |looked| looked.err().unwrap_or_else(silent)))
            }
        }
    }

    async fn commit(&mut self, group: &[Job]) -> Result<Answers, Failure> {
        let mut attempt = 1;
        loop {
            let link = self.slot.link().await?;
            self.groups += 1;
            let Ok(prepared) = timeout(GROUP_TIMEOUT, self.prepare(&link, group)).await else {
                self.slot.give_up(&link);
                return Err(silent().into());
            };
            let error = match prepared {
                Ok(answers) => match self.complete(&link).await {
                    Ok(true) => return Ok(answers),
                    Ok(false) => Error::Unavailable("PostgreSQL gave a group up".into()),
                    Err(error) => return Err(Failure::Unknown(answers, error)),
                },
                Err(error) => error,
            };
            if !matches!(error, Error::Unavailable(_)) || attempt == ATTEMPTS {
                self.end(&link).await;
                return Err(error.into());
            }
            // The connection was lost, or another one was in the way. Dropping it rolls back
            // whatever it began.
            self.slot.give_up(&link);
            attempt += 1;
        }
    }

    /// Leaves no transaction open, whatever is wrong with it.
    async fn end(&self, link: &Arc<Link>) {
        let rollback = link.client.batch_execute("ROLLBACK");
        if !matches!(timeout(CONNECT_TIMEOUT, rollback).await, Ok(Ok(()))) {
            self.slot.give_up(link);
        }
    }

    /// Does everything of the group but the commit.
    async fn prepare(&self, link: &Link, group: &[Job]) -> Result<Answers> {
        let session = Session { link, writer: self };
        for statement in group.iter().flat_map(|job| &job.batch.statements) {
            // Here no other node waits for us. One that cannot be prepared yet is tried again
            // where it is executed.
            let _ = link.prepare(statement.sql).await;
        }
        let total = group.iter().map(|job| i64::from(job.batch.positions)).sum();
        let newest = session.begin(total).await?;
        if let Some(answers) = session.all(group, newest - total).await {
            session.notify(newest, total > 0).await?;
            return Ok(answers);
        }
        session.control("ROLLBACK").await?;
        let start = session.begin(total).await? - total;
        let (answers, newest) = session.each(group, start).await?;
        if newest < start + total {
            session.execute_now(CORRECT, &[newest.into()]).await?;
        }
        session.notify(newest, newest > start).await?;
        Ok(answers)
    }

    /// Makes the group durable: whether it is kept. Fails if that can not be found out for now.
    async fn complete(&self, link: &Arc<Link>) -> Result<bool> {
        let failed = match timeout(GROUP_TIMEOUT, link.client.batch_execute("COMMIT")).await {
            Ok(Ok(())) => return Ok(true),
            Ok(Err(cause)) => error(cause),
            Err(_) => silent(),
        };
        tracing::warn!(error = %failed, "a commit was not answered");
        self.slot.give_up(link);
        let until = Instant::now() + DOUBT_MAX;
        loop {
            match self.kept(until.saturating_duration_since(Instant::now())).await {
                Err(_) if Instant::now() < until => sleep(DOUBT_PAUSE).await,
                known => return known,
            }
        }
    }
}

/// A statement that was sent and whose answer may have come.
type Sent<'a> = Pin<Box<MaybeDone<Execution<'a>>>>;
type Execution<'a> = Pin<Box<dyn Future<Output = Result<u64>> + Send + 'a>>;

/// One transaction on one connection.
struct Session<'a> {
    link: &'a Link,
    writer: &'a Writer,
}

impl<'a> Session<'a> {
    /// Begins, and takes `total` positions; answers the last of them.
    async fn begin(&self, total: i64) -> Result<i64> {
        let advance = self.link.prepare(ADVANCE).await?;
        let row = async {
            let Writer { node, groups, .. } = self.writer;
            let row = self.link.client.query_one(&advance, &[&total, node, groups]).await;
            row.map_err(|cause| at(ADVANCE, cause))
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

    /// Tells the other nodes, with the commit, if the group moved the position.
    async fn notify(&self, newest: i64, moved: bool) -> Result<()> {
        if moved {
            self.execute_now(NOTIFY, &[self.writer.channel.as_str().into(), newest.into()]).await?;
        }
        Ok(())
    }

    async fn control(&self, sql: &'static str) -> Result<()> {
        self.link.client.batch_execute(sql).await.map_err(error)
    }
}

async fn finish(mut sent: Sent<'_>) -> Result<u64> {
    sent.as_mut().await;
    sent.as_mut().take_output().unwrap_or_else(|| Err(Error::Broken("nothing was sent".into())))
}

//! What is written together: all of a batch is kept, durably, or nothing of it.

use super::{Error, Result, Value};
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Statements that are kept together or not at all.
///
/// ```
/// # use store::{Batch, Value};
/// let mut batch = Batch::new();
/// let pos = batch.pos();
/// batch.must(
///     "UPDATE room SET head = $2 WHERE room = $1 AND head = $3",
///     vec![7.into(), "$new".into(), "$old".into()],
/// );
/// batch.run("INSERT INTO event (pos, json) VALUES ($1, $2)", vec![pos.into(), Value::Null]);
/// ```
#[derive(Default)]
pub struct Batch {
    pub(super) statements: Vec<Statement>,
    pub(super) positions: u32,
    /// Never contended: the lock lets a task look at the batch while others may hold it too.
    pub(super) callbacks: Mutex<Callbacks>,
    size_bytes: usize,
}

pub(super) type Callback = Box<dyn FnOnce(&Positions) + Send>;

/// What a batch leads to in memory, before its positions are published and after.
#[derive(Default)]
pub(super) struct Callbacks {
    pub(super) then: Vec<Callback>,
    pub(super) once_published: Vec<Callback>,
}

impl Callbacks {
    fn is_empty(&self) -> bool {
        self.then.is_empty() && self.once_published.is_empty()
    }
}

pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) params: Vec<Value<'static>>,
    pub(super) must: bool,
}

impl Batch {
    /// A batch that does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new stream position, given by the writer when the batch is committed. The positions of a
    /// batch follow each other without a gap, in the order of these calls.
    pub fn pos(&mut self) -> PosRef {
        self.positions += 1;
        PosRef(self.positions - 1)
    }

    /// Executes `sql`, however many rows it changes.
    pub fn run(&mut self, sql: &'static str, params: Vec<Value<'static>>) {
        self.push(sql, params, false);
    }

    /// Executes `sql`; if it changes no row the whole batch is refused with [`Error::Refused`] and
    /// leaves no trace. This is compare-and-set, claim-once and idempotency.
    pub fn must(&mut self, sql: &'static str, params: Vec<Value<'static>>) {
        self.push(sql, params, true);
    }

    /// Calls `f` once the batch is durable, in commit order, before [`Db::upto`](super::Db::upto)
    /// shows its positions. It runs on the writer: it must be short and must not block. If the
    /// batch is refused or fails, it is dropped without a call. It is called exactly if the batch is
    /// kept, also where that turned out only after the caller was told [`Error::Unavailable`].
    pub fn then(&mut self, f: impl FnOnce(&Positions) + Send + 'static) {
        self.callbacks.get_mut().then.push(Box::new(f));
    }

    /// Calls `f` as [`then`](Self::then) does, but once [`Db::upto`](super::Db::upto) shows the positions
    /// of the batch: whoever is told by `f` to look finds what was written.
    pub fn once_published(&mut self, f: impl FnOnce(&Positions) + Send + 'static) {
        self.callbacks.get_mut().once_published.push(Box::new(f));
    }

    /// Whether committing it would do nothing at all.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.positions == 0 && self.callbacks.lock().is_empty()
    }

    /// Roughly what the batch occupies in memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.size_bytes
    }

    /// Refuses parameters that one of the two engines could not store; asked of every batch that is
    /// committed.
    pub fn check(&self) -> Result<()> {
        self.statements.iter().flat_map(|statement| &statement.params).try_for_each(Value::check)
    }

    fn push(&mut self, sql: &'static str, params: Vec<Value<'static>>, must: bool) {
        self.size_bytes += params.iter().map(Value::size_bytes).sum::<usize>();
        self.statements.push(Statement { sql, params, must });
    }
}

/// A stream position that is not known before its batch is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PosRef(pub(super) u32);

/// The stream positions that a committed batch was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Positions {
    pub(super) first: i64,
}

impl Positions {
    /// The position that `pos` stood for. `pos` must come from the same batch.
    pub fn at(&self, pos: PosRef) -> i64 {
        self.first + i64::from(pos.0)
    }
}

/// The answer to a batch that waits for the writer.
///
/// Dropping it does not call the batch back: what is enqueued will be executed.
#[must_use = "a batch can be refused"]
pub struct Commit(State);

enum State {
    Waiting(oneshot::Receiver<Result<Positions>>),
    /// Refused before it reached the writer.
    Refused(Error),
}

impl Commit {
    pub(super) fn waiting(answer: oneshot::Receiver<Result<Positions>>) -> Self {
        Self(State::Waiting(answer))
    }

    pub(super) fn refused(error: Error) -> Self {
        Self(State::Refused(error))
    }
}

impl Future for Commit {
    type Output = Result<Positions>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(answer) => Pin::new(answer).poll(context).map(|answer| {
                answer.unwrap_or_else(|_| Err(Error::Unavailable("the writer is gone".into())))
            }),
        }
    }
}

//! What can go wrong behind the door, said once for both engines.

/// Why the database did not do what it was asked.
///
/// The error of a group of batches is given to each of them, so it is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A `must` changed no row: nothing of this batch was kept. Not a fault, an answer.
    #[error("statement {statement} of the batch changed no row")]
    Refused {
        /// Which statement of the batch, counted from 0.
        statement: usize,
    },
    /// A text holds U+0000, which PostgreSQL cannot store (SQLite refuses it here too, so that both
    /// behave alike). Always the caller's input: an answer in the 400s.
    #[error("a text must not contain U+0000")]
    Nul,
    /// The disk, or what the database may use of it, is full. Reading still works.
    #[error("the database has no room left")]
    Full,
    /// The database accepts no writes (a read-only file system, a standby). Reading still works.
    #[error("the database is read-only")]
    ReadOnly,
    /// The database does not answer, or too much waits for it. Whether a batch answered with this
    /// was kept is unknown, but what it does in memory ([`then`](super::Batch::then)) will happen if
    /// it was, before anything else is written. Trying again later makes sense.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// A statement and the schema do not fit together, or the database is damaged: a bug or a
    /// broken disk, never the caller's fault.
    #[error("the database failed: {0}")]
    Broken(String),
    /// This database cannot be used at all; the sentence tells the operator what to do.
    #[error("{0}")]
    Unfit(String),
}

impl Error {
    /// Adds the statement to an error that is a bug of ours.
    pub(super) fn of_statement(self, sql: &str) -> Self {
        match self {
            Error::Broken(what) => Error::Broken(format!("{what}: {sql}")),
            error => error,
        }
    }
}

/// The result of everything the door does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

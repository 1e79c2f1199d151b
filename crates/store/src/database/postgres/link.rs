//! Connections to PostgreSQL that come back by themselves.

use super::{CONNECT_TIMEOUT, at, error};
use crate::database::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::{Client, Config, NoTls, Statement};

/// The pause after the first connection that could not be made; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// One connection and its prepared statements.
pub(super) struct Link {
    pub(super) client: Client,
    statements: Mutex<HashMap<(usize, usize), Statement>>,
}

impl Link {
    /// The statement, prepared once per connection. It is known by its address: it is part of the
    /// program and never changes.
    pub(super) async fn prepare(&self, sql: &'static str) -> Result<Statement> {
        let key = (sql.as_ptr().addr(), sql.len());
        if let Some(statement) = self.statements.lock().get(&key) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await.map_err(|cause| at(sql, cause))?;
        self.statements.lock().insert(key, statement.clone());
        Ok(statement)
    }
}

/// Makes a connection for statements that may take `timeout`.
pub(super) async fn connect(config: &Config, timeout: Duration) -> Result<Link> {
    let made = tokio::time::timeout(CONNECT_TIMEOUT, config.connect(NoTls)).await;
    let late = || Error::Unavailable("PostgreSQL does not answer in time".into());
    let (client, connection) = made.map_err(|_| late())?.map_err(error)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to PostgreSQL ended");
        }
    });
    // We give up first; this is for the case that we cannot say so any more.
    let timeout_ms = 2 * timeout.as_millis();
    // Compiling a plan takes longer than any of our statements; a node that hangs in the middle of a
    // transaction must not hold up the others; and what is answered is on disk, whatever else is said.
    let setup = format!(
        "SET jit = off; SET statement_timeout = {timeout_ms}; SET lock_timeout = {timeout_ms};
         SET idle_in_transaction_session_timeout = {timeout_ms};
         SELECT set_config('synchronous_commit', 'on', FALSE)
         WHERE current_setting('synchronous_commit') = 'off'"
    );
    let set = tokio::time::timeout(CONNECT_TIMEOUT, client.batch_execute(&setup)).await;
    set.map_err(|_| late())?.map_err(error)?;
    Ok(Link { client, statements: Mutex::default() })
}

/// The place of one connection. It is made when it is first needed and again when it broke.
pub(super) struct Slot {
    /// How it is made again; nothing for one that is not.
    config: Option<Config>,
    timeout: Duration,
    current: Mutex<Option<Arc<Link>>>,
    /// Held while connecting, so that only one caller does.
    retry: tokio::sync::Mutex<Retry>,
    /// Whether the last try failed.
    away: AtomicBool,
}

struct Retry {
    not_before: Option<Instant>,
    pause: Duration,
}

impl Slot {
    pub(super) fn new(config: Config, timeout: Duration) -> Self {
        let retry = Retry { not_before: None, pause: PAUSE_MIN };
        let (current, away) = (Mutex::default(), AtomicBool::new(false));
        Self { config: Some(config), timeout, current, retry: retry.into(), away }
    }

    /// A place whose connection is never made again, because of what was begun on it.
    pub(super) fn fixed(link: Link, timeout: Duration) -> Self {
        let retry = Retry { not_before: None, pause: PAUSE_MIN };
        let (current, away) = (Mutex::new(Some(Arc::new(link))), AtomicBool::new(false));
        Self { config: None, timeout, current, retry: retry.into(), away }
    }

    /// How long one statement may take here.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The connection. While PostgreSQL cannot be reached this fails at once, but for one caller
    /// now and then who tries again, and for whom the others do not wait.
    pub(super) async fn link(&self) -> Result<Arc<Link>> {
        if let Some(link) = self.usable() {
            return Ok(link);
        }
        let mut retry = match self.retry.try_lock() {
            Ok(retry) => retry,
            Err(_) if self.away.load(Ordering::Relaxed) => return Err(unreachable()),
            Err(_) => self.retry.lock().await,
        };
        if let Some(link) = self.usable() {
            return Ok(link);
        }
        if retry.not_before.is_some_and(|not_before| Instant::now() < not_before) {
            return Err(unreachable());
        }
        let Some(config) = &self.config else {
            return Err(Error::Unavailable("the connection to PostgreSQL was lost".into()));
        };
        match connect(config, self.timeout).await {
            Ok(link) => {
                *retry = Retry { not_before: None, pause: PAUSE_MIN };
                self.away.store(false, Ordering::Relaxed);
                let link = Arc::new(link);
                *self.current.lock() = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                // Said once: it is tried every few seconds, on every connection.
                match self.away.swap(true, Ordering::Relaxed) {
                    false => tracing::warn!(%error, "cannot connect to PostgreSQL"),
                    true => tracing::debug!(%error, "still cannot connect to PostgreSQL"),
                }
                retry.not_before = Some(Instant::now() + retry.pause);
                retry.pause = (retry.pause * 2).min(PAUSE_MAX);
                Err(error)
            }
        }
    }

    /// Forgets a connection that does not answer.
    pub(super) fn give_up(&self, link: &Arc<Link>) {
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            *current = None;
        }
    }

    fn usable(&self) -> Option<Arc<Link>> {
        self.current.lock().clone().filter(|link| !link.client.is_closed())
    }
}

fn unreachable() -> Error {
    Error::Unavailable("PostgreSQL cannot be reached".into())
}

//! How many reads wait, and whether PostgreSQL answers any: one that is silent must not gather them.

use crate::database::{Error, Result};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Reads that may wait while PostgreSQL answers none; further ones are refused at once.
const WAITING_MAX: usize = 1024;
/// PostgreSQL is silent if it has not answered any of those who wait for so long.
const SILENCE: Duration = Duration::from_secs(2);

/// The reads under way.
pub(super) struct Load {
    began: Instant,
    waiting: AtomicUsize,
    /// When one was answered last, or the first of those who wait began to; in milliseconds.
    answered_ms: AtomicU64,
}

impl Load {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), waiting: AtomicUsize::new(0), answered_ms: AtomicU64::new(0) }
    }

    /// One more read. As long as PostgreSQL answers, however slowly, any number may wait: callers are
    /// bounded by their connections.
    pub(super) fn begin(&self) -> Result<Waiting<'_>> {
        self.begin_at(self.now_ms())
    }

    fn begin_at(&self, now_ms: u64) -> Result<Waiting<'_>> {
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(self);
        if others == 0 {
            self.answered_ms.store(now_ms, Ordering::Relaxed);
        }
        if others >= WAITING_MAX && self.silence_at(now_ms) >= SILENCE {
            return Err(Error::Unavailable("PostgreSQL does not answer, and many wait for it".into()));
        }
        Ok(waiting)
    }

    /// PostgreSQL answered something.
    pub(super) fn answered(&self) {
        self.answered_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// For how long it has answered nothing.
    pub(super) fn silence(&self) -> Duration {
        self.silence_at(self.now_ms())
    }

    fn silence_at(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.answered_ms.load(Ordering::Relaxed)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A read that waits, until it is dropped.
pub(super) struct Waiting<'a>(&'a Load);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_database_gathers_no_more_than_so_many_reads() {
        let load = Load::new();
        let mut waiting: Vec<_> = (0..2 * WAITING_MAX).map(|_| load.begin_at(1_000)).collect();
        assert!(waiting.iter().all(Result::is_ok), "a moment ago it answered");
        assert!(matches!(load.begin_at(3_000), Err(Error::Unavailable(_))));
        load.answered_ms.store(2_500, Ordering::Relaxed);
        assert!(load.begin_at(3_000).is_ok(), "it answers, however slowly");
        assert!(load.begin_at(4_500).is_err());
        waiting.truncate(WAITING_MAX - 1);
        assert!(load.begin_at(4_500).is_ok(), "somebody has to ask whether it answers again");
        drop(waiting);
        let one = load.begin_at(60_000);
        assert!(one.is_ok() && load.silence_at(60_500) < SILENCE, "nobody was kept waiting");
    }
}

//! What the door measures. The handles are kept, because looking one up costs more than a read.

use super::{Error, Result};
use metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One read in so many is timed: a histogram for each would cost a tenth of a read by id.
const READ_SAMPLE: u64 = 32;

pub(super) struct Meter {
    groups: Counter,
    batches: Counter,
    refused: Counter,
    failed: Counter,
    group_batches: Histogram,
    commit_seconds: Histogram,
    read_seconds: Histogram,
    queue_batches: Gauge,
    reads: AtomicU64,
    /// Why the last group failed, if it did.
    ailment: Mutex<Option<Error>>,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            groups: metrics::counter!("hearth_database_commits_total"),
            batches: metrics::counter!("hearth_database_batches_total"),
            refused: metrics::counter!("hearth_database_batches_refused_total"),
            failed: metrics::counter!("hearth_database_batches_failed_total"),
            group_batches: metrics::histogram!("hearth_database_commit_batches"),
            commit_seconds: metrics::histogram!("hearth_database_commit_seconds"),
            read_seconds: metrics::histogram!("hearth_database_read_seconds"),
            queue_batches: metrics::gauge!("hearth_database_queue_batches"),
            reads: AtomicU64::new(0),
            ailment: Mutex::new(None),
        }
    }

    /// The start of a read, if this one is timed.
    pub(super) fn read(&self) -> Option<Instant> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        read.is_multiple_of(READ_SAMPLE).then(Instant::now)
    }

    pub(super) fn read_done(&self, start: Option<Instant>) {
        if let Some(start) = start {
            self.read_seconds.record(start.elapsed());
        }
    }

    pub(super) fn queued(&self, batches: usize) {
        self.queue_batches.set(batches as f64);
    }

    /// A batch was answered, so long after it was queued.
    pub(super) fn answered<T>(&self, queued: Instant, answer: &Result<T>) {
        self.batches.increment(1);
        match answer {
            Ok(_) => self.commit_seconds.record(queued.elapsed()),
            Err(Error::Refused { .. }) => self.refused.increment(1),
            Err(_) => self.failed.increment(1),
        }
    }

    /// A group is through, with these answers to its batches.
    pub(super) fn group<T>(&self, answers: &[Result<T>]) {
        self.groups.increment(1);
        self.group_batches.record(answers.len() as f64);
        let ailing = answers.iter().find_map(|answer| match answer {
            Err(error @ (Error::Full | Error::ReadOnly | Error::Unavailable(_))) => Some(error.clone()),
            _ => None,
        });
        *self.ailment.lock() = ailing;
    }

    /// Why the last group failed, if it did.
    pub(super) fn ailment(&self) -> Option<Error> {
        self.ailment.lock().clone()
    }
}

//! The bounded queue before the writer, and the position that everybody may read up to.

use super::batch::{Batch, Callback, Callbacks, Commit, Positions};
use super::meter::Meter;
use super::{Error, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

/// Batches that one durable commit takes together.
pub(super) const GROUP_BATCHES_MAX: usize = 256;
/// Batches of `commit` that may wait; further callers wait for a place before they queue.
const WAITING_BATCHES_MAX: usize = 2048;
/// Batches that may wait at all; beyond it `enqueue` refuses.
const QUEUE_BATCHES_MAX: usize = 8192;
/// Callers of `commit` that may wait for a place; beyond it they are refused at once.
const CALLERS_MAX: usize = 8192;
/// How long they wait for one. A writer that works makes thousands of places in that time.
const PLACE_TIMEOUT: Duration = Duration::from_secs(10);
/// Memory that waiting batches may occupy; beyond it `enqueue` refuses.
const QUEUE_BYTES_MAX: usize = 128 << 20;

/// One batch on its way to the writer.
pub(super) struct Job {
    pub(super) batch: Batch,
    queued: Instant,
    answer: oneshot::Sender<Result<Positions>>,
    place: Place,
    permit: Option<OwnedSemaphorePermit>,
}

/// An answer on its way to whoever waits for it.
pub(super) struct Letter {
    to: oneshot::Sender<Result<Positions>>,
    answer: Result<Positions>,
}

impl Letter {
    /// Nobody may be waiting any more, which is fine.
    pub(super) fn deliver(self) {
        let _ = self.to.send(self.answer);
    }
}

impl Job {
    /// Frees the place.
    fn answered(self, answer: Result<Positions>, meter: &Meter) -> Letter {
        meter.answered(self.queued, &answer);
        let load = self.place.load.clone();
        drop((self.place, self.permit));
        meter.queued(load.batches.load(Ordering::Relaxed));
        Letter { to: self.answer, answer }
    }
}

/// What the queue holds at this moment.
#[derive(Default)]
struct Load {
    batches: AtomicUsize,
    bytes: AtomicUsize,
}

/// The place of one batch in the queue; dropping it frees the place.
struct Place {
    load: Arc<Load>,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.batches.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The end of the queue where batches come in.
pub(super) struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    load: Arc<Load>,
    permits: Arc<Semaphore>,
    callers: Semaphore,
    meter: Arc<Meter>,
}

impl Queue {
    pub(super) fn new(meter: Arc<Meter>) -> (Self, mpsc::UnboundedReceiver<Job>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(WAITING_BATCHES_MAX));
        let callers = Semaphore::new(CALLERS_MAX);
        (Self { jobs, load: Arc::default(), permits, callers, meter }, receiver)
    }

    /// Waits for a place, which is how a flood of writers slows down instead of filling memory. Where
    /// the writer itself waits, callers are told to come back.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _caller = self.callers.try_acquire().map_err(|_| too_many())?;
        let permit = tokio::time::timeout(PLACE_TIMEOUT, self.permits.clone().acquire_owned()).await;
        permit.map_err(|_| too_many())?.map_err(|_| Error::Unavailable("the writer is gone".into()))
    }

    /// Queues the batch at once: the order of these calls is the order of execution.
    pub(super) fn push(&self, batch: Batch, permit: Option<OwnedSemaphorePermit>) -> Commit {
        if let Err(error) = batch.check() {
            return Commit::refused(error);
        }
        let place = match self.place(batch.size_bytes()) {
            Ok(place) => place,
            Err(error) => return Commit::refused(error),
        };
        let (answer, receiver) = oneshot::channel();
        let queued = Instant::now();
        let job = Job { batch, queued, answer, place, permit };
        // A writer that is gone drops the job, and with it the sender: the commit sees that.
        let _ = self.jobs.send(job);
        Commit::waiting(receiver)
    }

    fn place(&self, bytes: usize) -> Result<Place> {
        let batches = self.load.batches.fetch_add(1, Ordering::Relaxed);
        let queued_bytes = self.load.bytes.fetch_add(bytes, Ordering::Relaxed);
        let place = Place { load: self.load.clone(), bytes };
        self.meter.queued(batches + 1);
        if batches >= QUEUE_BATCHES_MAX || queued_bytes + bytes > QUEUE_BYTES_MAX {
            return Err(too_many());
        }
        Ok(place)
    }
}

fn too_many() -> Error {
    Error::Unavailable("too many writes wait".into())
}

/// The newest position at or below which everything may be read.
///
/// Positions of other nodes can arrive while our own writer is between its commit and its
/// callbacks. They wait until it is through, so that `then` always comes before `upto`.
pub(super) struct Upto {
    published: watch::Sender<i64>,
    held: Mutex<Held>,
}

struct Held {
    busy: bool,
    newest: i64,
}

impl Upto {
    pub(super) fn new(pos: i64) -> Self {
        let held = Mutex::new(Held { busy: false, newest: pos });
        Self { published: watch::Sender::new(pos), held }
    }

    pub(super) fn get(&self) -> i64 {
        *self.published.borrow()
    }

    pub(super) fn follow(&self) -> watch::Receiver<i64> {
        self.published.subscribe()
    }

    /// The writer starts a group: nothing is published before [`Upto::release`].
    pub(super) fn hold(&self) {
        self.held.lock().busy = true;
    }

    /// The writer is through with its group, which ended at `pos` if it was committed.
    pub(super) fn release(&self, pos: Option<i64>) {
        let mut held = self.held.lock();
        held.busy = false;
        held.newest = held.newest.max(pos.unwrap_or(0));
        self.publish(held.newest);
    }

    /// Somebody else committed up to `pos`.
    pub(super) fn foreign(&self, pos: i64) {
        let mut held = self.held.lock();
        held.newest = held.newest.max(pos);
        if !held.busy {
            self.publish(held.newest);
        }
    }

    fn publish(&self, pos: i64) {
        self.published.send_if_modified(|upto| {
            let newer = pos > *upto;
            *upto = pos.max(*upto);
            newer
        });
    }
}

/// What follows from a group in memory once it is durable.
pub(super) struct Aftermath {
    callbacks: Vec<(Callbacks, Positions)>,
    newest: Option<i64>,
}

impl Aftermath {
    /// Takes the callbacks of those batches of `group` that are kept if the group is.
    pub(super) fn of(group: &mut [Job], answers: &[Result<Positions>]) -> Self {
        let mut aftermath = Self { callbacks: Vec::with_capacity(group.len()), newest: None };
        for (job, answer) in group.iter_mut().zip(answers) {
            let callbacks = std::mem::take(job.batch.callbacks.get_mut());
            if let Ok(positions) = answer {
                aftermath.newest = Some(positions.first - 1 + i64::from(job.batch.positions));
                aftermath.callbacks.push((callbacks, *positions));
            }
        }
        aftermath
    }

    /// The group is durable: the callbacks in commit order, then the new position, then what waits for that.
    pub(super) fn happen(self, upto: &Upto) {
        let mut once_published = Vec::with_capacity(self.callbacks.len());
        for (callbacks, positions) in self.callbacks {
            callbacks.then.into_iter().for_each(|callback| call(callback, &positions));
            once_published.push((callbacks.once_published, positions));
        }
        upto.release(self.newest);
        for (callbacks, positions) in once_published {
            callbacks.into_iter().for_each(|callback| call(callback, &positions));
        }
    }
}

/// After the commit of a group: what follows from it. Answers what to tell those who wait, so that
/// whoever is told finds it all.
pub(super) fn letters_of_group(
    group: &mut Vec<Job>,
    outcome: Result<Vec<Result<Positions>>>,
    upto: &Upto,
    meter: &Meter,
) -> Vec<Letter> {
    let answers = outcome.unwrap_or_else(|error| vec![Err(error); group.len()]);
    Aftermath::of(group, &answers).happen(upto);
    letters(group, answers, meter)
}

/// What to tell those who wait for the batches of a group, which is empty then.
pub(super) fn letters(group: &mut Vec<Job>, answers: Vec<Result<Positions>>, meter: &Meter) -> Vec<Letter> {
    if !group.is_empty() {
        meter.group(&answers);
    }
    group.drain(..).zip(answers).map(|(job, answer)| job.answered(answer, meter)).collect()
}

/// A callback that panics must not take the writer with it.
fn call(callback: Callback, positions: &Positions) {
    let called = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| callback(positions)));
    if called.is_err() {
        tracing::error!("a callback of a batch panicked");
    }
}

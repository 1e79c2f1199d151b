//! A future that is polled again at once where it woke itself.
//!
//! Reading the body of a request, hyper wakes the task that it runs in: the body is handed over inside
//! of one task. The runtime would put that task at the end of its queue and wake another thread to look
//! whether there is something to take over, which costs more than most requests.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire, Ordering::Release},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// How often it is polled on end before others have their turn.
const ROUNDS_MAX: usize = 8;

const RESTING: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// The future `F`, polled again at once where it woke itself.
pub(super) struct AtOnce<F> {
    future: F,
    bed: Arc<Bed>,
    waker: Waker,
}

/// What is woken in place of the task.
struct Bed {
    state: AtomicU8,
    task: AtomicWaker,
}

impl<F: Future + Unpin> AtOnce<F> {
    pub(super) fn new(future: F) -> Self {
        let bed = Arc::new(Bed { state: AtomicU8::new(RESTING), task: AtomicWaker::new() });
        AtOnce { future, waker: bed.clone().into(), bed }
    }
}

impl<F: Future + Unpin> Future for AtOnce<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let AtOnce { future, bed, waker } = &mut *self;
        bed.task.register(context.waker());
        for _ in 0..ROUNDS_MAX {
            bed.state.store(POLLED, Release);
            if let Poll::Ready(output) = Pin::new(&mut *future).poll(&mut Context::from_waker(waker)) {
                return Poll::Ready(output);
            }
            if bed.state.compare_exchange(POLLED, RESTING, AcqRel, Acquire).is_ok() {
                return Poll::Pending;
            }
        }
        bed.state.store(RESTING, Release);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = self.state.compare_exchange(POLLED, WOKEN, AcqRel, Acquire);
        if noted == Err(RESTING) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    /// Counts how often the task is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn who_wakes_itself_is_polled_again_and_the_task_is_not_woken() {
        let task = Arc::new(Task::default());
        let mut polls = 0;
        let mut future = AtOnce::new(poll_fn(|context| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready("done");
            }
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&task.clone().into()));
        assert_eq!(polled, Poll::Ready("done"));
        assert_eq!(task.0.load(SeqCst), 0);
    }

    #[test]
    fn who_never_rests_lets_others_have_their_turn() {
        let task = Arc::new(Task::default());
        let mut polls = 0;
        let mut future = AtOnce::new(poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        }));
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&task.clone().into()));
        assert!(polled.is_pending());
        assert_eq!(task.0.load(SeqCst), 1);
        drop(future);
        assert_eq!(polls, ROUNDS_MAX);
    }

    #[test]
    fn who_is_woken_at_rest_wakes_the_task() {
        let task = Arc::new(Task::default());
        let mut kept = None;
        let mut future = AtOnce::new(poll_fn(|context| {
            kept = Some(context.waker().clone());
            Poll::<()>::Pending
        }));
        assert!(Pin::new(&mut future).poll(&mut Context::from_waker(&task.clone().into())).is_pending());
        drop(future);
        kept.expect("it was polled").wake();
        assert_eq!(task.0.load(SeqCst), 1);
    }
}

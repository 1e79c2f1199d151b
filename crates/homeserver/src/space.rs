//! Memory that requests and answers may take, all together: bodies that arrive, and answers that nobody
//! has read yet.
//!
//! Each has limits of its own; but there are many connections, and a crowd that sends slowly or does not
//! read would fill the memory with what is allowed to each. What is large is refused first, strangers have
//! little, and no user takes more than a share.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::Arc,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::{Answer, RETRY_AFTER_MS, Refusal};

/// What is counted: so many bytes.
const PIECE_BYTES: usize = 4096;
/// The beginnings of bodies, of those who are logged in, in bytes.
const BODIES_MAX: usize = 128 << 20;
/// A body has so long a beginning: no event is longer. In bytes.
const BEGINNING_BYTES: usize = 64 * 1024;
/// What is longer of bodies, in bytes.
const LARGE_BODIES_MAX: usize = 128 << 20;
/// Bodies of strangers, in bytes.
const STRANGERS_BODIES_MAX: usize = 32 << 20;
/// Answers that wait to be read, in bytes.
const ANSWERS_MAX: usize = 256 << 20;
/// What one user may have of them, in bytes. Users share shares, if there are many.
const SHARE_MAX: usize = 32 << 20;
const SHARES: usize = 256;
/// Answers up to here are not counted, in bytes: there are so many, and they are sent at once.
pub const SMALL_ANSWER_BYTES: usize = 16 * 1024;

/// What is left.
pub struct Space {
    bodies: Arc<Semaphore>,
    large_bodies: Arc<Semaphore>,
    strangers_bodies: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    shares: Box<[Arc<Semaphore>]>,
    key: RandomState,
}

impl Default for Space {
    fn default() -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / PIECE_BYTES));
        Space {
            bodies: of(BODIES_MAX),
            large_bodies: of(LARGE_BODIES_MAX),
            strangers_bodies: of(STRANGERS_BODIES_MAX),
            answers: of(ANSWERS_MAX),
            shares: (0..SHARES).map(|_| of(SHARE_MAX)).collect(),
            key: RandomState::new(),
        }
    }
}

/// The space that one body takes; given back when dropped.
#[derive(Default)]
pub struct BodySpace {
    beginning: Option<OwnedSemaphorePermit>,
    rest: Option<OwnedSemaphorePermit>,
}

/// The space that one answer takes; given back when dropped.
pub struct AnswerSpace {
    _share: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Space {
    /// Makes `space` large enough for so many bytes of the body of a stranger, or of somebody known.
    ///
    /// # Errors
    /// 503 if there is no space left; nobody waits for it, for it is those who wait that take it.
    pub fn body(&self, space: &mut BodySpace, bytes: usize, is_stranger: bool) -> Answer<()> {
        let beginning = if is_stranger { &self.strangers_bodies } else { &self.bodies };
        let rest = if is_stranger { &self.strangers_bodies } else { &self.large_bodies };
        grow(&mut space.beginning, beginning, bytes.min(BEGINNING_BYTES))?;
        grow(&mut space.rest, rest, bytes.saturating_sub(BEGINNING_BYTES))
    }

    /// Space for an answer of so many bytes to `who`.
    ///
    /// # Errors
    /// 503 if too many wait to be read: one that waited for space would take it already.
    pub fn answer(&self, who: impl Hash, bytes: usize) -> Answer<AnswerSpace> {
        let share = take(self.share(who), bytes.min(SHARE_MAX));
        let of_all = take(&self.answers, bytes.min(ANSWERS_MAX));
        match (share, of_all) {
            (Some(share), Some(of_all)) => Ok(AnswerSpace { _share: share, _of_all: of_all }),
            _ => Err(full("Too many answers wait to be read: read them, then try again")),
        }
    }

    fn share(&self, who: impl Hash) -> &Arc<Semaphore> {
        &self.shares[usize::try_from(self.key.hash_one(who)).unwrap_or_default() % SHARES]
    }
}

fn take(space: &Arc<Semaphore>, bytes: usize) -> Option<OwnedSemaphorePermit> {
    space.clone().try_acquire_many_owned(pieces(bytes)).ok()
}

fn grow(taken: &mut Option<OwnedSemaphorePermit>, space: &Arc<Semaphore>, bytes: usize) -> Answer<()> {
    let has = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    let wanted = pieces(bytes).saturating_sub(u32::try_from(has).unwrap_or(u32::MAX));
    if wanted == 0 {
        return Ok(());
    }
    let more = space.clone().try_acquire_many_owned(wanted);
    let more = more.map_err(|_| full("Too many large requests arrive at once; try again in a moment"))?;
    match taken {
        Some(taken) => taken.merge(more),
        None => *taken = Some(more),
    }
    Ok(())
}

fn pieces(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX)
}

fn full(message: &'static str) -> Refusal {
    Refusal::unavailable(message).with("retry_after_ms", RETRY_AFTER_MS.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_bodies_leave_space_for_small_ones_and_strangers_for_both() {
        let space = Space::default();
        let fill = |is_stranger, bytes| {
            let mut full = Vec::new();
            loop {
                let mut body = BodySpace::default();
                let taken = space.body(&mut body, bytes, is_stranger);
                full.push(body);
                if taken.is_err() {
                    return full;
                }
            }
        };
        let large = fill(false, 2 << 20);
        assert_eq!(large.len(), LARGE_BODIES_MAX / ((2 << 20) - BEGINNING_BYTES) + 1);
        let strangers = fill(true, BEGINNING_BYTES);
        assert_eq!(strangers.len(), STRANGERS_BODIES_MAX / BEGINNING_BYTES + 1);
        let mut small = BodySpace::default();
        for bytes in [1, PIECE_BYTES, BEGINNING_BYTES] {
            assert!(space.body(&mut small, bytes, false).is_ok(), "{bytes}");
        }
        assert!(space.body(&mut small, BEGINNING_BYTES + 1_000_000, false).is_err());
        drop((large, strangers));
        assert!(space.body(&mut small, BEGINNING_BYTES + 1_000_000, false).is_ok());
        drop(small);
        assert_eq!(space.bodies.available_permits(), BODIES_MAX / PIECE_BYTES);
    }

    #[test]
    fn a_user_who_reads_nothing_takes_nothing_from_others() {
        let space = Space::default();
        let alive = (1..).find(|n| !Arc::ptr_eq(space.share(*n), space.share(0))).expect("another share");
        let mut unread: Vec<_> = std::iter::from_fn(|| space.answer(0, 1 << 20).ok()).collect();
        assert_eq!(unread.len(), SHARE_MAX >> 20);
        assert!(space.answer(alive, 1 << 20).is_ok());
        unread.pop();
        assert!(space.answer(0, 1 << 20).is_ok());
        // What is larger than a share is answered alone.
        assert!(space.answer(0, 2 * SHARE_MAX).is_err());
        drop(unread);
        assert!(space.answer(0, 2 * SHARE_MAX).is_ok());
    }
}

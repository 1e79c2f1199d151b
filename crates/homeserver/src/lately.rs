//! When something last happened to whom, in constant memory.
//!
//! A sync asks for each kind of thing whether there is anything new at all before it asks the
//! database what. The answer may be «perhaps» where it is «no», for keys share their places; never
//! the other way round.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicI64, Ordering},
};

/// Places that the keys share.
const PLACES: usize = 4_096;

/// The last position for each key.
pub struct Lately(Box<[AtomicI64]>);

impl Lately {
    /// Knows nothing of before the position `started`, and so says «perhaps» about all of that.
    pub fn new(started: i64) -> Self {
        Lately((0..PLACES).map(|_| AtomicI64::new(started)).collect())
    }

    /// Notes that something happened to `key` at `pos`. Called on the writer, before `pos` is published.
    pub fn note(&self, key: impl Hash, pos: i64) {
        self.place(key).fetch_max(pos, Ordering::AcqRel);
    }

    /// Whether something may have happened to `key` after the position `since`.
    pub fn perhaps_after(&self, key: impl Hash, since: i64) -> bool {
        self.place(key).load(Ordering::Acquire) > since
    }

    fn place(&self, key: impl Hash) -> &AtomicI64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        &self.0[hasher.finish() as usize % PLACES]
    }
}

#[cfg(test)]
mod tests {
    use super::Lately;

    #[test]
    fn what_happened_is_never_denied() {
        let lately = Lately::new(10);
        lately.note("alice", 12);
        assert!(lately.perhaps_after("alice", 11));
        assert!(!lately.perhaps_after("alice", 12));
        assert!(lately.perhaps_after("bob", 9), "nothing is known of before the start");
    }
}

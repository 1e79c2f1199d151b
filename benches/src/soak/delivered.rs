//! Whether a user is told everything that anybody says in a room, and everything once.

use std::{
    collections::{HashSet, VecDeque},
    sync::Mutex,
};

use crate::Outcome;

/// Event ids that are remembered as told, of the newest.
const TOLD_MAX: usize = 4_000;

/// The event ids of all messages of a room that were acknowledged.
#[derive(Default)]
pub(crate) struct Acknowledged(Mutex<Vec<String>>);

impl Acknowledged {
    /// One more.
    pub(crate) fn note(&self, event_id: String) {
        self.with(|all| all.push(event_id));
    }

    /// How many there are. A sync that begins now tells them all.
    pub(crate) fn count(&self) -> usize {
        self.with(|all| all.len())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<String>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// What one user was told of a room.
#[derive(Default)]
pub(crate) struct Delivered {
    /// How many of those acknowledged were told, or passed over by a sync that was limited.
    upto: usize,
    told: HashSet<String>,
    oldest: VecDeque<String>,
}

impl Delivered {
    /// What was acknowledged so far need not be told.
    pub(crate) fn pass(&mut self, count: usize) {
        self.upto = self.upto.max(count);
    }

    /// A sync that began when `count` messages were acknowledged told of these, and of everything in
    /// between unless it was limited.
    pub(crate) fn check<'a>(
        &mut self,
        acknowledged: &Acknowledged,
        count: usize,
        limited: bool,
        told: impl Iterator<Item = &'a str>,
    ) -> Outcome<()> {
        for event_id in told {
            if !self.told.insert(event_id.to_owned()) {
                return Err(format!("told twice: {event_id}").into());
            }
            self.oldest.push_back(event_id.to_owned());
        }
        if limited {
            self.pass(count);
        }
        let upto = self.upto;
        let lost = acknowledged.with(|all| {
            all.get(upto..count)
                .unwrap_or_default()
                .iter()
                .find(|event_id| !self.told.contains(*event_id))
                .cloned()
        });
        if let Some(event_id) = lost {
            return Err(format!("never told: {event_id}").into());
        }
        self.pass(count);
        while self.oldest.len() > TOLD_MAX {
            if let Some(event_id) = self.oldest.pop_front() {
                self.told.remove(&event_id);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_or_doubled_is_found() {
        let acknowledged = Acknowledged::default();
        for event_id in ["a", "b", "c"] {
            acknowledged.note(event_id.to_owned());
        }
        let mut delivered = Delivered::default();
        let mut check = |count, limited, told: &[&'static str]| {
            delivered.check(&acknowledged, count, limited, told.iter().copied()).is_ok()
        };
        assert!(check(1, false, &["a", "c"]), "more may be told than was acknowledged");
        assert!(!check(3, false, &[]), "b was never told");
        assert!(check(3, true, &[]), "it was passed over");
        assert!(!check(3, false, &["c"]), "c was told twice");
    }
}

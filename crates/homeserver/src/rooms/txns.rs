//! Requests with the same transaction id, one after the other.

use std::sync::Arc;

use dashmap::DashMap;
use store::txns::Key;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Transactions under way.
///
/// That an id leads to one event is the store's care. But a refused batch costs the room all that was
/// built on it, so requests that repeat each other at the same time wait here for the first of them.
#[derive(Debug, Default)]
pub(super) struct Txns(DashMap<Key, Arc<Mutex<()>>>);

impl Txns {
    /// Waits until no other request with this key is under way.
    pub(super) async fn alone(&self, key: Key) -> Alone<'_> {
        let turn = self.0.entry(key).or_default().clone();
        Alone { txns: self, key, _turn: turn.lock_owned().await }
    }
}

/// The only request with its key that is under way.
pub(super) struct Alone<'a> {
    txns: &'a Txns,
    key: Key,
    _turn: OwnedMutexGuard<()>,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        // One reference is the map's, one is this guard's; a third waits for its turn.
        self.txns.0.remove_if(&self.key, |_, turn| Arc::strong_count(turn) <= 2);
    }
}

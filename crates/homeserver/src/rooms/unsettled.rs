//! What is built upon before it is durable.
//!
//! The lock of a room is let go before a commit is awaited, so the next chain looks for events and state
//! nodes that the store does not show yet. The caches may forget them at any time, for many other things
//! want to be remembered. Here they stay until the batch that stores them is kept, or has fallen.

use std::sync::Arc;

use dashmap::DashMap;
use rules::{
    event::Event,
    state_tree::{Node, Root},
};
use ruma::{EventId, OwnedEventId};

/// Events and state nodes on their way to the store.
#[derive(Default)]
pub(super) struct Unsettled {
    nodes: DashMap<Root, Arc<Node>>,
    events: DashMap<OwnedEventId, Arc<Event>>,
}

impl Unsettled {
    /// The state node with this name, if it is on its way.
    pub(super) fn node(&self, name: &Root) -> Option<Arc<Node>> {
        self.nodes.get(name).map(|node| node.clone())
    }

    /// The event with this id, if it is on its way.
    pub(super) fn event(&self, event_id: &EventId) -> Option<Arc<Event>> {
        self.events.get(event_id).map(|event| event.clone())
    }
}

/// Keeps what it pins among the unsettled until it is dropped. It goes with the batch, so that it lives
/// as long as anybody can not know what becomes of that.
pub(super) struct Pins {
    unsettled: Arc<Unsettled>,
    nodes: Vec<(Root, Arc<Node>)>,
    events: Vec<Arc<Event>>,
}

impl Pins {
    /// Nothing yet.
    pub(super) fn new(unsettled: &Arc<Unsettled>) -> Self {
        Pins { unsettled: unsettled.clone(), nodes: Vec::new(), events: Vec::new() }
    }

    /// A state node that a batch stores.
    pub(super) fn node(&mut self, name: Root, node: Arc<Node>) {
        self.unsettled.nodes.insert(name, node.clone());
        self.nodes.push((name, node));
    }

    /// An event that a batch stores.
    pub(super) fn event(&mut self, event: Arc<Event>) {
        self.unsettled.events.insert(event.event_id().to_owned(), event.clone());
        self.events.push(event);
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        // What was built anew in the meantime, and is the same, is pinned by another.
        for (name, node) in &self.nodes {
            self.unsettled.nodes.remove_if(name, |_, pinned| Arc::ptr_eq(pinned, node));
        }
        for event in &self.events {
            self.unsettled.events.remove_if(event.event_id(), |_, pinned| Arc::ptr_eq(pinned, event));
        }
    }
}

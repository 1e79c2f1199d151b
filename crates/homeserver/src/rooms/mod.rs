//! Rooms: what happens in them, and what can be read.
//!
//! [`memory`] holds the rooms, events and states that are in use; [`state`] reads and grows state
//! trees; [`chain`] is the only way in which an event comes to be; [`timeline`] reads them back.

pub mod chain;
mod effects;
pub mod memberships;
pub mod memory;
pub mod state;
pub mod timeline;

pub use chain::{Chain, Intent, Txn, append};
pub use memory::{Head, Memory, Room, find, find_by_key};
pub use timeline::TimelineEvent;

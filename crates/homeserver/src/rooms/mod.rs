//! Rooms: what happens in them, and what can be read.
//!
//! [`memory`] holds the rooms, events and states that are in use; [`state`] reads and grows state
//! trees; [`chain`] is the only way in which an event comes to be; [`timeline`] reads them back,
//! [`visibility`] says who may see them, and [`show`] what a client gets of them.

mod aggregations;
pub mod chain;
pub mod context;
pub mod create;
pub mod delayed_events;
mod effects;
mod erased;
mod here;
pub mod initial_sync;
mod intent;
pub mod membership;
pub mod memberships;
pub mod memory;
pub mod messages;
mod moving;
pub mod read_state;
pub mod redact;
pub mod relations;
pub mod search;
pub mod send;
pub mod set_state;
pub mod show;
pub mod state;
pub mod stripped;
pub mod summary;
mod tail;
pub mod third_party;
pub mod timeline;
mod txns;
mod unsettled;
pub mod upgrade;
pub mod visibility;

pub use chain::{Chain, append, append_all};
pub use intent::{Intent, Txn};
pub use memory::{Head, Memory, Room, find, find_by_key};
pub use timeline::TimelineEvent;

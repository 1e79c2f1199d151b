//! What Matrix says: pure functions over events, states and rules.
//!
//! Nothing here reads a database, a clock, a random number or the network; everything is decided from
//! the arguments. The crate stands on [ruma](ruma)'s types, canonical JSON and state resolution, and does
//! itself what must be fast (writing an event), precise (why an event is refused) or what ruma decides
//! differently from the specification; such places say so.
//!
//! The map: [`versions`] says what differs between room versions; [`canonical`] reads JSON from strangers;
//! [`event`] makes, verifies and parses events; [`authorization`] says whether an event may happen in a
//! state; [`resolution`] which state wins; [`state_tree`] how a state is kept; [`redaction`] what remains of a redacted event;
//! [`visibility`] who may see an event; [`format`](mod@format) what a client gets of it; [`push`] whom it
//! notifies; [`filter`] which events a client wants, and [`event_fields`] what of them;
//! [`weight`] what things take in memory.

pub mod authorization;
pub mod canonical;
pub mod event;
pub mod event_fields;
pub mod filter;
pub mod format;
mod glob;
pub mod power_levels;
pub mod push;
pub mod redaction;
mod refused;
pub mod resolution;
pub mod signing_key;
pub mod state_tree;
pub mod versions;
pub mod visibility;
pub mod weight;

pub use refused::Refused;

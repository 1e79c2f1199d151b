//! What Matrix says: pure functions over events and state. No I/O, no clock, no chance, no async.

pub mod state_tree;

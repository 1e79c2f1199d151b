//! What is remembered: every table, every SQL statement, and nothing else.
//!
//! [`database`] is the door to SQLite or PostgreSQL; the other files hold one part of Matrix each
//! and say what may be asked and written there.

pub mod database;
pub mod settings;
pub mod testing;

pub use database::{Batch, Commit, Db, Error, PosRef, Positions, Result, Value};

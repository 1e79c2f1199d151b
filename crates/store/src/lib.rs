//! What is remembered: every table, every SQL statement, and nothing else.
//!
//! [`database`] is the door to SQLite or PostgreSQL; the other files hold one part of Matrix each
//! and say what may be asked and written there.

pub mod account_data;
pub mod accounts;
pub mod aliases;
pub mod database;
pub mod delayed_events;
pub mod devices;
pub mod events;
pub mod external_ids;
pub mod filters;
pub mod members;
pub mod mutual_rooms;
pub mod openid;
pub mod presence;
pub mod profiles;
pub mod public_rooms;
pub mod pushers;
pub mod receipts;
pub mod registration_tokens;
pub mod relations;
pub mod reports;
pub mod rooms;
pub mod settings;
pub mod state;
pub mod testing;
pub mod threepids;
pub mod tokens;
pub mod txns;
pub mod uia;
pub mod verify;

pub use database::{Batch, Commit, Db, Error, PosRef, Positions, Result, Value};

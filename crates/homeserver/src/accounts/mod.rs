//! Accounts, devices and sessions.
//!
//! [`register`] makes accounts, [`login`] and [`opening`] open sessions, [`sessions`] finds the
//! session of an access token, [`closing`] ends sessions and accounts. [`uia`] has people prove
//! themselves before something that matters; [`passwords`] hashes what they prove it with.

pub mod closing;
pub mod devices;
pub mod login;
pub mod names;
pub mod opening;
pub mod passwords;
pub mod register;
pub mod sessions;
mod ticket;
pub mod uia;

pub use sessions::{Session, session};

use rules::signing_key::SigningKey;

/// What of accounts is in memory.
pub struct Memory {
    sessions: sessions::Cache,
    hashing: passwords::Pool,
    seen: devices::Seen,
    ticket_key: [u8; 32],
}

impl Memory {
    /// Nothing yet. Tickets are bound to the server's signing key.
    pub(crate) fn new(signing_key: &SigningKey) -> Self {
        Memory {
            sessions: sessions::Cache::new(),
            hashing: passwords::Pool::new(),
            seen: devices::Seen::default(),
            ticket_key: signing_key.derive("hearth accounts ticket 1"),
        }
    }
}

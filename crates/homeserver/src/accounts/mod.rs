//! Accounts, devices and sessions.
//!
//! [`register`] makes accounts, [`login`] and [`opening`] open sessions, [`sessions`] finds the
//! session of an access token, [`closing`] ends sessions and accounts. [`uia`] has people prove
//! themselves before something that matters; [`passwords`] hashes what they prove it with.

pub mod admin;
mod attempts;
pub mod closing;
pub mod departing;
pub mod devices;
pub mod login;
pub mod login_tokens;
pub mod macaroon;
pub mod names;
pub mod oauth2;
pub mod openid;
pub mod opening;
pub mod own;
pub mod passwords;
pub mod register;
pub mod sessions;
pub mod shared_secret;
pub mod staged;
pub mod sweeping;
mod ticket;
pub mod uia;

pub use sessions::{Session, session};

use rules::signing_key::SigningKey;

/// What of accounts is in memory.
pub struct Memory {
    sessions: sessions::Cache,
    hashing: passwords::Pool,
    seen: devices::Seen,
    departures: departing::Departures,
    ticket_key: [u8; 32],
    macaroon_key: [u8; 32],
}

impl Memory {
    /// Nothing yet. Tickets are bound to the server's signing key.
    pub(crate) fn new(signing_key: &SigningKey) -> Self {
        Memory {
            sessions: sessions::Cache::new(),
            hashing: passwords::Pool::new(),
            seen: devices::Seen::default(),
            departures: departing::Departures::default(),
            ticket_key: signing_key.derive("hearth accounts ticket 1"),
            macaroon_key: signing_key.derive("hearth accounts macaroon 1"),
        }
    }
}

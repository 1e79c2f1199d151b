//! Tickets: text by which this server recognises later what it said before, without remembering it.
//!
//! A ticket is good for one purpose and for a time. It costs no memory and no write until it is used,
//! so that strangers can not fill the database by asking, and every node accepts it after a restart.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::Home;

const CHANCE_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const MAC_BYTES: usize = 32;
const TICKET_BYTES: usize = CHANCE_BYTES + TIME_BYTES + MAC_BYTES;

/// What a ticket is good for, as a hash of `parts`, which may be secret.
pub(super) fn purpose(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A new ticket for `purpose`.
pub(super) fn issue(home: &Home, purpose: &[u8; 32]) -> String {
    let mut bytes = [0; TICKET_BYTES];
    bytes[..CHANCE_BYTES].copy_from_slice(&home.dice.bytes::<CHANCE_BYTES>());
    bytes[CHANCE_BYTES..][..TIME_BYTES].copy_from_slice(&home.clock.now_ms().to_be_bytes());
    let mac = mac(home, purpose, &bytes[..CHANCE_BYTES + TIME_BYTES]);
    bytes[CHANCE_BYTES + TIME_BYTES..].copy_from_slice(&mac);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether this server issued `ticket` for `purpose`, at most `life_ms` milliseconds ago.
pub(super) fn is_valid(home: &Home, ticket: &str, purpose: &[u8; 32], life_ms: i64) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(ticket) else { return false };
    let Some((told, theirs)) = bytes.split_at_checked(CHANCE_BYTES + TIME_BYTES) else { return false };
    if !bool::from(mac(home, purpose, told)[..].ct_eq(theirs)) {
        return false;
    }
    let issued_ms = told[CHANCE_BYTES..].try_into().map_or(0, i64::from_be_bytes);
    home.clock.now_ms().saturating_sub(issued_ms) <= life_ms
}

fn mac(home: &Home, purpose: &[u8; 32], told: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new_keyed(&home.accounts.ticket_key).update(purpose).update(told).finalize().as_bytes()
}

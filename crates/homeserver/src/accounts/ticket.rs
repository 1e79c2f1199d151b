//! Tickets: text by which this server recognises later what it said before, without remembering it.
//!
//! A ticket is good for one purpose and for a time. It costs no memory and no write until it is used,
//! so that strangers can not fill the database by asking, and every node accepts it after a restart.
//! It may say something, which whoever has it can read and nobody can change: it is sealed.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use crate::Home;

const CHANCE_BYTES: usize = 16;
const TIME_BYTES: usize = 8;
const TOLD_BYTES: usize = CHANCE_BYTES + TIME_BYTES;
const MAC_BYTES: usize = 32;

/// Characters of a ticket that is looked at; longer ones are none of ours.
const TICKET_CHARACTERS_MAX: usize = 8_192;

/// What a ticket is good for, as a hash of `parts`, which may be secret.
pub(super) fn purpose(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

/// A hash of `parts` that only this server can make: it may stand in a ticket although `parts` are
/// easily guessed.
pub(super) fn fingerprint(home: &Home, parts: &[&[u8]]) -> [u8; 32] {
    // No ticket is sealed over nothing.
    mac(home, &purpose(parts), &[], &[])
}

/// A new ticket for `purpose`.
pub(super) fn issue(home: &Home, purpose: &[u8; 32]) -> String {
    seal(home, purpose, &[])
}

/// Whether this server issued `ticket` for `purpose`, at most `life_ms` milliseconds ago.
pub(super) fn is_valid(home: &Home, ticket: &str, purpose: &[u8; 32], life_ms: i64) -> bool {
    unseal(home, ticket, purpose, life_ms).is_some_and(|said| said.is_empty())
}

/// A new ticket for `purpose` that says `said`.
pub(super) fn seal(home: &Home, purpose: &[u8; 32], said: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(TOLD_BYTES + MAC_BYTES + said.len());
    bytes.extend_from_slice(&home.dice.bytes::<CHANCE_BYTES>());
    bytes.extend_from_slice(&home.clock.now_ms().to_be_bytes());
    let mac = mac(home, purpose, &bytes, said);
    bytes.extend_from_slice(&mac);
    bytes.extend_from_slice(said);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What `ticket` says, if this server sealed it for `purpose`, at most `life_ms` milliseconds ago.
pub(super) fn unseal(home: &Home, ticket: &str, purpose: &[u8; 32], life_ms: i64) -> Option<Vec<u8>> {
    if ticket.len() > TICKET_CHARACTERS_MAX {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(ticket).ok()?;
    let (told, rest) = bytes.split_at_checked(TOLD_BYTES)?;
    let (theirs, said) = rest.split_at_checked(MAC_BYTES)?;
    if !bool::from(mac(home, purpose, told, said)[..].ct_eq(theirs)) {
        return None;
    }
    let issued_ms = told[CHANCE_BYTES..].try_into().map_or(0, i64::from_be_bytes);
    (home.clock.now_ms().saturating_sub(issued_ms) <= life_ms).then(|| said.to_vec())
}

/// `told` is of a fixed length, so that nothing can be shifted between it and `said`.
fn mac(home: &Home, purpose: &[u8; 32], told: &[u8], said: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(&home.accounts.ticket_key);
    *hasher.update(purpose).update(told).update(said).finalize().as_bytes()
}

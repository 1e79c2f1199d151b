//! Attempts: how often somebody may be wrong about a password.
//!
//! Whoever guesses is slowed down by account and by address, so that neither many guesses at one
//! account nor one guess at each of many go far. Only wrong guesses count: who knows the password is
//! never kept out by the load of others, only by guesses at the own account. Guesses under way are not
//! counted yet; they are as many as may wait for a hash ([`passwords`](super::passwords)) at most.

use std::{hash::Hash, net::IpAddr, time::Duration};

use dashmap::DashMap;
use ruma::{OwnedUserId, UserId};

use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Wrong guesses at one account in a row.
const PER_ACCOUNT_MAX: i64 = 20;

/// Wrong guesses from one address in a row; many people may share one.
const PER_ADDRESS_MAX: i64 = 60;

/// How long it takes until one guess more is allowed, in milliseconds.
const FORGOTTEN_MS: i64 = 10_000;

/// Accounts, and addresses, of which guesses are counted. Past it, those that are forgotten make room.
const COUNTED_MAX: usize = 65_536;

/// Wrong guesses of late, by account and by address: until when they are remembered.
#[derive(Default)]
pub(super) struct Attempts {
    accounts: DashMap<OwnedUserId, i64>,
    addresses: DashMap<IpAddr, i64>,
}

/// Refuses to look at another password for `account`, or from `address`, after too many wrong ones.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(super) fn may_guess(home: &Home, account: Option<&UserId>, address: Option<IpAddr>) -> Answer<()> {
    if !home.config.limits.enabled {
        return Ok(());
    }
    let (attempts, now_ms) = (&home.accounts.attempts, home.clock.now_ms());
    let account = account.and_then(|account| attempts.accounts.get(account).map(|until_ms| *until_ms));
    let address = address.and_then(|address| attempts.addresses.get(&network(address)).map(|ms| *ms));
    let waits = [(account, PER_ACCOUNT_MAX), (address, PER_ADDRESS_MAX)].map(|(until_ms, max)| {
        // So much is remembered when the last guess is allowed.
        until_ms.map_or(0, |until_ms| until_ms - now_ms - (max - 1) * FORGOTTEN_MS)
    });
    let wait_ms = waits.into_iter().max().and_then(|wait_ms| u64::try_from(wait_ms).ok());
    match wait_ms {
        Some(wait_ms @ 1..) => Err(Refusal::limit_exceeded(Duration::from_millis(wait_ms))),
        _ => Ok(()),
    }
}

/// Counts a wrong guess.
pub(super) fn was_wrong(home: &Home, account: Option<&UserId>, address: Option<IpAddr>) {
    if !home.config.limits.enabled {
        return;
    }
    let now_ms = home.clock.now_ms();
    if let Some(account) = account {
        count(&home.accounts.attempts.accounts, account.to_owned(), now_ms);
    }
    if let Some(address) = address {
        count(&home.accounts.attempts.addresses, network(address), now_ms);
    }
}

fn count<K: Eq + Hash>(counted: &DashMap<K, i64>, key: K, now_ms: i64) {
    if counted.len() >= COUNTED_MAX {
        counted.retain(|_, until_ms| *until_ms > now_ms);
    }
    if counted.len() < COUNTED_MAX || counted.contains_key(&key) {
        let mut until_ms = counted.entry(key).or_insert(now_ms);
        *until_ms = (*until_ms).max(now_ms) + FORGOTTEN_MS;
    }
}

/// What one client has at its disposal: an IPv4 address, or the /64 of an IPv6 one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

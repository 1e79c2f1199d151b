//! Limits: how many requests a user may send, and a client address.
//!
//! Every endpoint belongs to a [`Class`], and every class has a budget for each user and one for each
//! address: so many requests at once, then one at a time as the budget grows again. A client that does
//! what people do never meets them; what does meet them is told when to come back. What a wrong
//! password costs is counted apart, by [`accounts`](crate::accounts).
//!
//! A budget is one number: until when it is not whole again (the *generic cell rate algorithm*). The
//! crate for it, governor, neither bounds how many it keeps nor takes our clock without a wrapper as
//! long as the algorithm; a cache that forgets whoever was not seen for long does both.

use std::{
    convert::Infallible,
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use ruma::UserId;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::{Device, Kind},
};

/// Budgets that are kept, some 100 bytes each. Past it those that were not asked for lately are whole
/// again.
const BUDGETS_MAX: usize = 65_536;

/// How many users' budgets an address has: people share addresses.
const USERS_PER_ADDRESS: i64 = 10;

/// What a request costs the server, roughly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Class {
    /// Opening sessions.
    Login,
    /// Making accounts.
    Register,
    /// Sending events: messages, state, redactions.
    Send,
    /// Joining and knocking.
    Join,
    /// Inviting.
    Invite,
    /// Making rooms, and new rooms in the place of old ones.
    Create,
    /// Reading what takes long to find: initial syncs, searches, directories, spaces.
    Search,
    /// Everything else.
    #[default]
    Other,
}

/// How many requests are allowed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// So many at once.
    pub(crate) burst: i64,
    /// Then one after so many milliseconds each.
    pub(crate) every_ms: i64,
}

impl Budget {
    /// Until when what was spent is missing. More than all can not be: then the clock was set back.
    fn spent_until(self, until_ms: i64, now_ms: i64) -> i64 {
        if self.wait_ms(until_ms, now_ms) > 0 { now_ms } else { until_ms.max(now_ms) }
    }

    /// How long it takes until no more is missing than there is.
    fn wait_ms(self, until_ms: i64, now_ms: i64) -> i64 {
        until_ms - now_ms - self.burst * self.every_ms
    }

    fn must_allow_one_more(self, until_ms: i64, now_ms: i64) -> Answer<()> {
        let until_ms = self.spent_until(until_ms, now_ms) + self.every_ms;
        match u64::try_from(self.wait_ms(until_ms, now_ms)) {
            Ok(wait_ms @ 1..) => Err(Refusal::limit_exceeded(Duration::from_millis(wait_ms))),
            _ => Ok(()),
        }
    }
}

impl Class {
    /// What one user may do.
    const fn of_user(self) -> Budget {
        let (burst, every_ms) = match self {
            Class::Login | Class::Register => (10, 6_000),
            Class::Send => (100, 100),
            Class::Join => (30, 2_000),
            Class::Invite => (50, 2_000),
            Class::Create => (20, 10_000),
            Class::Search => (60, 500),
            Class::Other => (500, 20),
        };
        Budget { burst, every_ms }
    }

    /// What may come from one address.
    const fn of_address(self) -> Budget {
        match self {
            Class::Login => Budget { burst: 10, every_ms: 6_000 },
            // Making an account takes two or three requests.
            Class::Register => Budget { burst: 20, every_ms: 20_000 },
            _ => {
                let Budget { burst, every_ms } = self.of_user();
                Budget { burst: burst * USERS_PER_ADDRESS, every_ms: every_ms / USERS_PER_ADDRESS }
            }
        }
    }
}

/// What is left of the budgets.
pub struct Budgets {
    /// By a hash of whose it is, until when it is not whole again, in milliseconds since 1970. That
    /// two have the same hash is rare, and cannot be brought about: the hash has a secret key.
    until_ms: quick_cache::sync::Cache<u64, Arc<AtomicI64>>,
    key: RandomState,
}

impl Default for Budgets {
    fn default() -> Self {
        Budgets { until_ms: quick_cache::sync::Cache::new(BUDGETS_MAX), key: RandomState::new() }
    }
}

impl Budgets {
    /// Takes one from the budget `whose`.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED` if nothing is left; then nothing is taken.
    pub(crate) fn take(&self, whose: impl Hash, budget: Budget, now_ms: i64) -> Answer<()> {
        let whole = || Ok::<_, Infallible>(Arc::new(AtomicI64::new(now_ms)));
        let Ok(until_ms) = self.until_ms.get_or_insert_with(&self.key.hash_one(whose), whole);
        let taken = until_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, |until_ms| {
            let until_ms = budget.spent_until(until_ms, now_ms) + budget.every_ms;
            (budget.wait_ms(until_ms, now_ms) <= 0).then_some(until_ms)
        });
        taken.map(|_| ()).or_else(|until_ms| budget.must_allow_one_more(until_ms, now_ms))
    }

    /// Gives one back that was taken from the budget `whose`.
    fn give_back(&self, whose: impl Hash, budget: Budget) {
        if let Some(until_ms) = self.until_ms.get(&self.key.hash_one(whose)) {
            until_ms.fetch_sub(budget.every_ms, Ordering::AcqRel);
        }
    }

    /// Looks whether [`take`](Self::take) would be refused.
    ///
    /// # Errors
    /// `M_LIMIT_EXCEEDED`
    pub(crate) fn must_have(&self, whose: impl Hash, budget: Budget, now_ms: i64) -> Answer<()> {
        match self.until_ms.get(&self.key.hash_one(whose)) {
            Some(until_ms) => budget.must_allow_one_more(until_ms.load(Ordering::Acquire), now_ms),
            None => Ok(()),
        }
    }
}

/// Takes a session of `user_id`, who has proved to be that, from the budget of the account.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(crate) fn log_in(home: &Home, user_id: &UserId) -> Answer<()> {
    if !home.config.limits.enabled {
        return Ok(());
    }
    let account = (Class::Login, user_id.as_str());
    home.limits.take(account, Class::Login.of_user(), home.clock.now_ms())
}

/// Takes a request of `class` from the budgets of `who`, if known, and of the address it came from.
/// Administrators and application services have no limits.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub fn spend(home: &Home, class: Class, who: Option<&Device>, address: Option<IpAddr>) -> Answer<()> {
    let unlimited = who.is_some_and(|who| who.admin || who.kind == Kind::Appservice);
    if !home.config.limits.enabled || unlimited {
        return Ok(());
    }
    let now_ms = home.clock.now_ms();
    if let Some(who) = who {
        home.limits.take((class, who.user_id.as_str()), class.of_user(), now_ms)?;
    }
    match address {
        Some(address) => home.limits.take((class, network(address)), class.of_address(), now_ms),
        None => Ok(()),
    }
}

/// Takes a request that was taken for one of `class` for one like any other: who sent it only looks
/// whether there is news.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(crate) fn was_a_look(home: &Home, class: Class, address: Option<IpAddr>) -> Answer<()> {
    let Some(address) = address.filter(|_| home.config.limits.enabled).map(network) else { return Ok(()) };
    home.limits.give_back((class, address), class.of_address());
    home.limits.take((Class::Other, address), Class::Other.of_address(), home.clock.now_ms())
}

/// Messages to one mail address or phone in a row, and after how long there may be one more.
const MESSAGES_TO: Budget = Budget { burst: 5, every_ms: 12 * 60 * 1000 };

/// The same for messages that one client address asks for.
const MESSAGES_FROM: Budget = Budget { burst: 20, every_ms: 3 * 60 * 1000 };

/// Takes a message to `to`, a mail address or phone, from its budget, and from that of the client
/// address that asks for it.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(crate) fn send_message(home: &Home, to: &str, from: Option<IpAddr>) -> Answer<()> {
    if !home.config.limits.enabled {
        return Ok(());
    }
    let now_ms = home.clock.now_ms();
    if let Some(from) = from {
        home.limits.take(("messages from", network(from)), MESSAGES_FROM, now_ms)?;
    }
    home.limits.take(("messages to", to), MESSAGES_TO, now_ms)
}

/// What one client has at its disposal: an IPv4 address, or the /64 of an IPv6 one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { burst: 3, every_ms: 100 };

    /// How long to wait at `now_ms`, 0 if not at all.
    fn wait_ms(budgets: &Budgets, whose: &str, now_ms: i64) -> u64 {
        let extra = budgets.take(whose, BUDGET, now_ms).err().and_then(|refusal| refusal.extra);
        extra.and_then(|extra| extra["retry_after_ms"].as_u64()).unwrap_or(0)
    }

    #[test]
    fn a_budget_is_spent_at_once_and_grows_again_with_time() {
        let budgets = Budgets::default();
        for (now_ms, wait) in [
            (1_000, 0),
            (1_000, 0),
            (1_000, 0),
            (1_000, 100),
            (1_060, 40),
            (1_100, 0),
            (1_100, 100),
            (9_000, 0),
            (9_000, 0),
            (9_000, 0),
            (9_000, 100),
        ] {
            assert_eq!(wait_ms(&budgets, "alice", now_ms), wait, "{now_ms}");
        }
        assert_eq!(wait_ms(&budgets, "bob", 9_000), 0);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budgets = Budgets::default();
        for _ in 0..10 {
            assert_eq!(wait_ms(&budgets, "alice", 1_000), 0);
            budgets.give_back("alice", BUDGET);
        }
        // No more than there was.
        for wait in [0, 0, 0, 100] {
            assert_eq!(wait_ms(&budgets, "alice", 1_000), wait);
        }
    }

    #[test]
    fn who_waits_as_told_is_not_refused_again() {
        let budgets = Budgets::default();
        let mut now_ms = 0;
        for _ in 0..50 {
            now_ms += i64::try_from(wait_ms(&budgets, "alice", now_ms)).expect("a short while");
        }
        // Half of them were refused, then allowed, but for the first three.
        assert!((2_000..=2_600).contains(&now_ms), "{now_ms}");
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out() {
        let budgets = Budgets::default();
        assert_eq!(wait_ms(&budgets, "alice", 10_000_000), 0);
        assert_eq!(wait_ms(&budgets, "alice", 1_000), 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let budgets = Budgets::default();
        for address in 0..BUDGETS_MAX as u64 * 2 {
            budgets.take(address, BUDGET, 0).expect("the first request of an address");
        }
        assert!(budgets.until_ms.len() <= BUDGETS_MAX);
    }

    #[test]
    fn a_household_shares_an_address_and_an_ipv6_network_is_one_client() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:ffff:ffff:ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}

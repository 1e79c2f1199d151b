//! Attempts: how often somebody may be wrong about the password of an account.
//!
//! Only wrong guesses count: who knows the password is never kept out by the load of others, only by
//! guesses at the own account. Guesses under way are not counted yet; they are as many as may wait for a
//! hash ([`passwords`](super::passwords)) at most. Who guesses at many accounts meets the
//! [limit](crate::limits) of logins from one address.

use ruma::UserId;

use crate::{Home, limits::Budget, refusal::Answer};

/// Wrong guesses at one account in a row, and after how long there may be one more.
const GUESSES: Budget = Budget { burst: 20, every_ms: 10_000 };

/// Sets these budgets apart from those for requests.
const WRONG: &str = "wrong password";

/// Refuses to look at another password for `account` after too many wrong ones.
///
/// # Errors
/// `M_LIMIT_EXCEEDED`
pub(super) fn may_guess(home: &Home, account: &UserId) -> Answer<()> {
    if !home.config.limits.enabled {
        return Ok(());
    }
    home.limits.must_have((WRONG, account.as_str()), GUESSES, home.clock.now_ms())
}

/// Counts a wrong guess.
pub(super) fn was_wrong(home: &Home, account: &UserId) {
    if home.config.limits.enabled {
        // Guesses that were under way together may be more than is left; then nothing is left.
        let _ = home.limits.take((WRONG, account.as_str()), GUESSES, home.clock.now_ms());
    }
}

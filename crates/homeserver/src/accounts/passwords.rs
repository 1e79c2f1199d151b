//! Passwords: hashed with Argon2id, never more of them at once than the machine can bear.
//!
//! A hash costs 19 MiB and some 30 ms of a processor. Those who wait for one wait in a bounded queue,
//! and whoever asks about an account that does not exist waits as long as for one that does.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use ruma::{DeviceId, UserId};
use store::Batch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::closing;
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 512;

/// Hashes computed at once; each keeps a processor and 19 MiB busy.
const HASHES_MAX: usize = 4;

/// Requests that wait for their turn.
const WAITING_MAX: usize = 128;

/// How long a request waits for its turn.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// When to try again if too many wait.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What the passwords of unknown users are compared with; no password has this hash. Its parameters
/// must be those above.
const DECOY: &str = "$argon2id$v=19$m=19456,t=2,p=1$ZGVjb3lkZWNveWRlY295$\
     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Who may compute a hash now, and who may wait for it.
#[derive(Debug)]
pub(super) struct Pool {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Pool {
    pub(super) fn new() -> Self {
        Pool { working: Arc::new(Semaphore::new(HASHES_MAX)), waiting: Arc::new(Semaphore::new(WAITING_MAX)) }
    }

    async fn turn(&self) -> Answer<OwnedSemaphorePermit> {
        let busy = || Refusal::limit_exceeded(RETRY_AFTER);
        let _place = self.waiting.try_acquire().map_err(|_| busy())?;
        let turn = tokio::time::timeout(WAIT_MAX, self.working.clone().acquire_owned()).await;
        turn.map_err(|_| busy())?.map_err(|_| busy())
    }
}

/// The hash of a new password, in PHC form.
///
/// # Errors
/// `M_WEAK_PASSWORD` if it is empty, `M_INVALID_PARAM` past [`PASSWORD_BYTES_MAX`],
/// `M_LIMIT_EXCEEDED` if too many wait.
pub async fn hash(home: &Home, password: &str) -> Answer<String> {
    if password.is_empty() {
        return Err(Refusal::weak_password("The password is empty"));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Refusal::invalid_param(format!("A password has at most {PASSWORD_BYTES_MAX} bytes")));
    }
    let salt = home.dice.bytes::<16>();
    let password = password.to_owned();
    let hashed = at_work(home, move || {
        let hash = argon2()?.hash_password_with_salt(password.as_bytes(), &salt);
        hash.map(|hash: PasswordHash| hash.to_string()).map_err(|error| broken(&error))
    });
    hashed.await?
}

/// Whether `password` has the hash `phc`. Without a hash the answer is no, after the same time.
///
/// # Errors
/// `M_LIMIT_EXCEEDED` if too many wait.
pub async fn verify(home: &Home, password: &str, phc: Option<String>) -> Answer<bool> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Ok(false);
    }
    let password = password.to_owned();
    let verified = at_work(home, move || {
        let hash = PasswordHash::new(phc.as_deref().unwrap_or(DECOY)).map_err(|error| broken(&error))?;
        let same = argon2()?.verify_password(password.as_bytes(), &hash).is_ok();
        Ok(same && phc.is_some())
    });
    verified.await?
}

/// Gives `user_id` a new password and ends its sessions, except that of the device `keep`.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such account, and those of [`hash`].
pub async fn set(home: &Home, user_id: &UserId, password: &str, keep: Option<&DeviceId>) -> Answer<()> {
    let hash = hash(home, password).await?;
    let mut batch = Batch::new();
    store::accounts::set_password(&mut batch, user_id.as_str(), Some(hash));
    closing::all_devices(home, &mut batch, user_id, keep);
    home.db.commit(batch).await.map(drop).map_err(|error| match error {
        store::Error::Refused { .. } => Refusal::not_found("There is no such account"),
        error => error.into(),
    })
}

async fn at_work<T: Send + 'static>(home: &Home, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
    let turn = home.accounts.hashing.turn().await?;
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|error| Refusal::broken(format!("a password could not be hashed: {error}")))
}

fn argon2() -> Answer<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| broken(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn broken(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::broken(format!("argon2: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_wait_for_their_turn_than_may() {
        let pool = Arc::new(Pool::new());
        let mut turns = Vec::new();
        for _ in 0..HASHES_MAX {
            turns.push(pool.turn().await.expect("nobody is there yet"));
        }
        let waiting: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move { pool.turn().await.map(drop) })
            })
            .collect();
        while pool.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refusal = pool.turn().await.expect_err("all places are taken");
        assert_eq!(refusal.errcode, "M_LIMIT_EXCEEDED");
        drop(turns);
        for waited in waiting {
            waited.await.expect("no panic").expect("it is their turn");
        }
        assert!(pool.turn().await.is_ok(), "all have gone");
    }

    #[test]
    fn the_decoy_costs_as_much_as_a_password() {
        let decoy = PasswordHash::new(DECOY).expect("the decoy is a hash");
        let params = Params::try_from(&decoy).expect("the decoy has parameters");
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (MEMORY_KIB, PASSES, LANES));
        assert_eq!(decoy.hash.map(|hash| hash.len()), Some(32));
    }
}

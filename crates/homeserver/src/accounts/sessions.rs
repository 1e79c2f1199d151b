//! Sessions: which device an access token belongs to. Asked by every request, so it is kept in memory.
//!
//! What is kept is forgotten when it changes: every user belongs to one of some thousand *epochs*, and
//! whatever changes a session ends the epoch of its user once it is durable. Other nodes do not hear
//! of it, so nobody trusts its memory for longer than [`TRUSTED_MS`].

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use ruma::{OwnedUserId, UserId};
use store::Batch;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::{Device, Kind},
};

/// Sessions kept in memory, some 300 bytes each.
const SESSIONS_MAX: usize = 65_536;

/// How long a session is believed before the database is asked again: what another node (or
/// `hearth user`) changed is in force after this many milliseconds.
const TRUSTED_MS: i64 = 5_000;

/// How often it is noted that a device was seen, in milliseconds.
const SEEN_EVERY_MS: i64 = 60_000;

/// Epochs, over which users are spread. Two users of one epoch cost each other a read now and then.
const EPOCHS: usize = 4_096;

/// What an access token stands for.
#[derive(Clone, Debug)]
pub struct Session {
    /// The device.
    pub device: Device,
    /// Whether the account is locked.
    pub locked: bool,
}

/// The sessions in memory.
pub(super) struct Cache {
    known: quick_cache::sync::Cache<[u8; 32], Arc<Known>>,
    epochs: Box<[AtomicU64]>,
    /// How many epochs have ended, of all users.
    ended: AtomicU64,
    spread: RandomState,
}

struct Known {
    session: Session,
    expires_ts: Option<i64>,
    epoch: (usize, u64),
    read_ms: i64,
    seen_ms: AtomicI64,
}

impl Cache {
    pub(super) fn new() -> Self {
        Cache {
            known: quick_cache::sync::Cache::new(SESSIONS_MAX),
            epochs: (0..EPOCHS).map(|_| AtomicU64::new(0)).collect(),
            ended: AtomicU64::new(0),
            spread: RandomState::new(),
        }
    }

    fn epoch(&self, user_id: &str) -> (usize, u64) {
        // The remainder is below EPOCHS, which is a usize.
        let index = (self.spread.hash_one(user_id) % EPOCHS as u64) as usize;
        (index, self.epochs[index].load(Ordering::Acquire))
    }

    fn end_epoch(&self, user_id: &str) {
        let (index, _) = self.epoch(user_id);
        // In this order: whoever sees the new epoch sees that one has ended.
        self.ended.fetch_add(1, Ordering::AcqRel);
        self.epochs[index].fetch_add(1, Ordering::AcqRel);
    }

    fn get(&self, hash: &[u8; 32], now_ms: i64) -> Option<Arc<Known>> {
        let known = self.known.get(hash)?;
        let (index, number) = known.epoch;
        let current = self.epochs[index].load(Ordering::Acquire) == number;
        let fresh = (known.read_ms..known.read_ms + TRUSTED_MS).contains(&now_ms);
        (current && fresh).then_some(known)
    }
}

/// The hash under which a token is stored.
pub fn token_hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// Has the sessions of `user_id` read anew once `batch`, which changes them, is durable; long polls are
/// woken to do so.
pub fn changed(home: &Home, batch: &mut Batch, user_id: &UserId) {
    let (home, user_id) = (home.clone(), user_id.to_owned());
    batch.then(move |_| {
        home.accounts.sessions.end_epoch(user_id.as_str());
        home.bell.ring(&user_id);
    });
}

/// Watches whether the session of a request that takes long is still there.
pub(crate) struct Watch {
    epoch: Option<(usize, u64)>,
}

impl Watch {
    /// Nothing was looked at yet.
    pub(crate) fn new() -> Self {
        Watch { epoch: None }
    }

    /// Refuses `who` if the session has ended, or the account was locked or closed, since the request
    /// began. Costs nothing if no session of the user has changed.
    ///
    /// # Errors
    /// `M_UNKNOWN_TOKEN`, `M_USER_LOCKED`
    pub(crate) async fn check(&mut self, home: &Home, who: &Device) -> Answer<()> {
        // In this order: what changes after this look changes the epoch.
        let epoch = home.accounts.sessions.epoch(who.user_id.as_str());
        if self.epoch == Some(epoch) {
            return Ok(());
        }
        let now_ms = home.clock.now_ms();
        let known = match home.accounts.sessions.get(&who.token_hash, now_ms) {
            Some(known) => known,
            None => read(home, who.token_hash, now_ms).await?,
        };
        if known.session.locked {
            return Err(Refusal::user_locked());
        }
        self.epoch = Some(epoch);
        Ok(())
    }
}

/// The session of an access token.
///
/// # Errors
/// `M_UNKNOWN_TOKEN` if it is none of ours or has expired (then with `soft_logout`).
pub async fn session(home: &Home, token: &str, address: Option<IpAddr>) -> Answer<Session> {
    let (hash, now_ms) = (token_hash(token), home.clock.now_ms());
    let known = match home.accounts.sessions.get(&hash, now_ms) {
        Some(known) => known,
        None => read(home, hash, now_ms).await?,
    };
    if known.expires_ts.is_some_and(|expires_ts| expires_ts <= now_ms) {
        return Err(Refusal::unknown_token(
            "This access token has expired: refresh it or log in again",
            true,
        ));
    }
    let mut session = known.session.clone();
    session.device.address = address;
    if now_ms - known.seen_ms.load(Ordering::Relaxed) >= SEEN_EVERY_MS {
        known.seen_ms.store(now_ms, Ordering::Relaxed);
        home.accounts.seen.note(&session.device, now_ms);
    }
    Ok(session)
}

async fn read(home: &Home, hash: [u8; 32], now_ms: i64) -> Answer<Arc<Known>> {
    let unknown = || Refusal::unknown_token("This access token is not valid: log in again", false);
    let cache = &home.accounts.sessions;
    let before = cache.known.peek(&hash);
    let ended = cache.ended.load(Ordering::Acquire);
    let found = store::tokens::session(&home.db, &hash).await?.ok_or_else(unknown)?;
    let epoch = cache.epoch(&found.user_id);
    if let Some(refresh_hash) = found.refresh_hash.filter(|_| found.follows) {
        // The first use of a refreshed session: now the client has it, and needs no older one.
        let mut batch = Batch::new();
        store::tokens::retire_predecessor(&mut batch, &refresh_hash);
        drop(home.db.enqueue(batch));
    }
    let device = Device {
        user_id: OwnedUserId::try_from(found.user_id).map_err(|_| unknown())?,
        device_id: found.device_id.into(),
        kind: Kind::of(&found.kind),
        admin: found.admin,
        suspended: found.suspended,
        token_hash: hash,
        address: None,
    };
    let seen_ms = before.map_or(0, |before| before.seen_ms.load(Ordering::Relaxed));
    let known = Arc::new(Known {
        session: Session { device, locked: found.locked },
        expires_ts: found.expires_ts,
        epoch,
        read_ms: now_ms,
        seen_ms: AtomicI64::new(seen_ms),
    });
    // What was read while an epoch ended may be of before.
    if cache.ended.load(Ordering::Acquire) == ended {
        cache.known.insert(hash, known.clone());
    }
    Ok(known)
}

//! The rooms that two users are both joined to (v1.19, «Mutual Rooms»; MSC2666).
//!
//! What it costs follows the shorter of the two users' lists: both are read up to a bound which grows
//! until one of them ends. If the other is several times as long, it is asked only for the rooms of the
//! first.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::try_join;
use ruma::UserId;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::memberships,
};

/// Rooms in one answer.
const PAGE_ROOMS_MAX: usize = 100;

/// Rooms of each user that are read at first, and how much more at every further attempt.
const LIST_ROOMS_FIRST: usize = 1_024;
const LIST_GROWTH: usize = 8;

/// To look for a room in a list in the database costs as much as to read so many of it in a row.
const PROBE_IN_ROWS: usize = 4;

/// Rooms that are asked for in one statement.
const PROBE_ROOMS_MAX: usize = 4_096;

/// How long a batch token lives. The specification asks for ten minutes.
const TOKEN_LIFE_MS: i64 = 60 * 60 * 1_000;

/// A part of the rooms in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The room ids.
    pub joined: Vec<String>,
    /// How many rooms are in common altogether.
    pub count: usize,
    /// Where to go on, unless this was the rest.
    pub next_batch: Option<String>,
}

/// The rooms in which `user` and `target` are both joined, from the batch token `from` on. Rooms come
/// in the order of their keys, so each comes once however many are joined or left between two pages.
///
/// `endpoint` is the path that was asked: the tokens of one are worth nothing at another.
///
/// # Errors
/// `M_INVALID_PARAM` for a token that was not given out for this very question, or has expired.
pub async fn page(
    home: &Home,
    user: &UserId,
    target: &UserId,
    from: Option<&str>,
    endpoint: &str,
) -> Answer<Page> {
    let asked = Asked { user, target, endpoint };
    let after = match from {
        Some(token) => asked.open(home, token)?,
        None => i64::MIN,
    };
    let shared = shared(home, user, target).await?;
    let rest = &shared[shared.partition_point(|room| *room <= after)..];
    let (now, later) = rest.split_at(rest.len().min(PAGE_ROOMS_MAX));
    let next_batch = now.last().filter(|_| !later.is_empty()).map(|last| asked.token(home, *last));
    let joined = store::rooms::ids(&home.db, now).await?;
    Ok(Page { joined, count: shared.len(), next_batch })
}

/// The keys of the rooms in common, in their order.
pub(super) async fn shared(home: &Home, user: &UserId, target: &UserId) -> Answer<Vec<i64>> {
    let mut limit = LIST_ROOMS_FIRST;
    loop {
        let (ours, theirs) =
            try_join(memberships::joined(home, user, limit), memberships::joined(home, target, limit))
                .await?;
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => return Ok(common(&ours, &theirs)),
            (Some(ours), None) => return among(home, target, &ours).await,
            (None, Some(theirs)) => return among(home, user, &theirs).await,
            (None, None) => limit = limit.saturating_mul(LIST_GROWTH),
        }
    }
}

/// Those of `rooms`, which are all of somebody's, that `user` is joined to, whose list is longer.
async fn among(home: &Home, user: &UserId, rooms: &[i64]) -> Answer<Vec<i64>> {
    if let Some(theirs) = memberships::joined(home, user, rooms.len().saturating_mul(PROBE_IN_ROWS)).await? {
        return Ok(common(rooms, &theirs));
    }
    let mut found = Vec::new();
    for part in rooms.chunks(PROBE_ROOMS_MAX) {
        found.extend(store::mutual_rooms::joined_among(&home.db, user.as_str(), part).await?);
    }
    Ok(found)
}

/// What two ordered lists have in common.
fn common(ours: &[i64], theirs: &[i64]) -> Vec<i64> {
    let mut theirs = theirs.iter().copied().peekable();
    let mut shared = Vec::new();
    for &room in ours {
        while theirs.next_if(|other| *other < room).is_some() {}
        if theirs.next_if_eq(&room).is_some() {
            shared.push(room);
        }
    }
    shared
}

/// What a batch token is bound to.
struct Asked<'a> {
    user: &'a UserId,
    target: &'a UserId,
    endpoint: &'a str,
}

/// What the key of batch tokens is derived for.
const PURPOSE: &str = "hearth 2026-11 batch tokens of mutual rooms";

impl Asked<'_> {
    /// The token that goes on after the room `after`.
    fn token(&self, home: &Home, after: i64) -> String {
        let expires_ms = home.clock.now_ms().saturating_add(TOKEN_LIFE_MS);
        let (expires_ms, after) = (expires_ms.to_be_bytes(), after.to_be_bytes());
        let seal = self.seal(home, expires_ms, after);
        URL_SAFE_NO_PAD.encode([&expires_ms[..], &after[..], seal.as_bytes()].concat())
    }

    /// After which room the token goes on.
    fn open(&self, home: &Home, token: &str) -> Answer<i64> {
        let invalid = || Refusal::invalid_param("This batch token is not valid here: begin without `from`");
        let bytes: [u8; 48] =
            URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(invalid)?;
        let (mut expires_ms, mut after, mut seal) = ([0; 8], [0; 8], [0; 32]);
        expires_ms.copy_from_slice(&bytes[..8]);
        after.copy_from_slice(&bytes[8..16]);
        seal.copy_from_slice(&bytes[16..]);
        // `blake3::Hash` compares in constant time.
        let authentic = self.seal(home, expires_ms, after) == blake3::Hash::from_bytes(seal);
        if !authentic || i64::from_be_bytes(expires_ms) <= home.clock.now_ms() {
            return Err(invalid());
        }
        Ok(i64::from_be_bytes(after))
    }

    fn seal(&self, home: &Home, expires_ms: [u8; 8], after: [u8; 8]) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&home.signing_key.derive(PURPOSE));
        for part in [self.endpoint, self.user.as_str(), self.target.as_str()] {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&expires_ms);
        hasher.update(&after);
        hasher.finalize()
    }
}

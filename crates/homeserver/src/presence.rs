//! Presence: who is about, as far as their clients say and their syncs show.

use std::collections::HashSet;

use ruma::{OwnedUserId, UserId, presence::PresenceState};
use serde_json::{Value, json};

use crate::{
    Home,
    refusal::Answer,
    rooms::{self, memberships::Standings},
};

/// A room with more members of this server than that does not carry presence: with every user's coming
/// and going told to everybody, the cost would grow with the square of its size.
pub const CARRYING_MEMBERS_MAX: usize = 500;

/// How long after its last activity somebody counts as active now.
const ACTIVE_MS: i64 = 60_000;

/// What is known of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// `online`, `unavailable` or `offline`.
    pub state: PresenceState,
    /// What the user says about it.
    pub status_msg: Option<String>,
    /// When the user last did something, milliseconds since 1970.
    pub last_active_ts: i64,
}

impl Presence {
    /// The content of an `m.presence` event.
    pub fn content(&self, now_ms: i64) -> Value {
        let ago_ms = now_ms.saturating_sub(self.last_active_ts).max(0);
        let active = self.state == PresenceState::Online && ago_ms < ACTIVE_MS;
        let mut content = json!({
            "presence": self.state.as_str(),
            "last_active_ago": ago_ms,
            "currently_active": active,
        });
        if let Some(status_msg) = &self.status_msg {
            content["status_msg"] = status_msg.clone().into();
        }
        content
    }
}

/// Notes that a client of `user` syncs, and what it says of the user.
pub fn syncs(_home: &Home, _user: &UserId, _state: &PresenceState) {}

/// Those of `about` whose presence `user` may see: it shares a room with them that carries presence.
///
/// # Errors
/// If the database does not answer.
pub async fn seen_by(
    home: &Home,
    user: &UserId,
    standings: &Standings,
    about: &HashSet<&UserId>,
) -> Answer<HashSet<OwnedUserId>> {
    let mut seen: HashSet<OwnedUserId> = HashSet::new();
    seen.extend(about.get(user).map(|user| (*user).to_owned()));
    for member in standings.iter().filter(|member| member.membership == "join") {
        if seen.len() == about.len() {
            break;
        }
        let room = rooms::find_by_key(home, member.room).await?;
        room.with_joined_here(|joined| {
            if joined.len() <= CARRYING_MEMBERS_MAX {
                let shared = about.iter().filter(|user| joined.contains(**user));
                seen.extend(shared.map(|user| (*user).to_owned()));
            }
        });
    }
    Ok(seen)
}

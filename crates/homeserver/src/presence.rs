//! Presence: who is about, as far as their clients say and their syncs show.

mod list;

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use ruma::{OwnedDeviceId, OwnedUserId, UserId, presence::PresenceState};
use serde_json::{Value, json};
use store::{Batch, members::Member, presence::StoredPresence};
use tokio::time::sleep;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{
        self,
        memberships::{self, Standings},
    },
    who::Device,
};

pub(crate) use list::in_room;
pub use list::{change as change_list, content_2015, event_2015, list as of_list, status};

/// A room with more members of this server than that does not carry presence: with every user's coming
/// and going told to everybody, the cost would grow with the square of its size.
pub const CARRYING_MEMBERS_MAX: usize = 500;

/// How long after its last activity somebody counts as active now.
const ACTIVE_MS: i64 = 60_000;

/// How long after its last activity somebody counts as idle.
const IDLE_AFTER_MS: i64 = 5 * 60_000;

/// How long after the last sync of its clients somebody counts as offline.
const OFFLINE_AFTER_MS: i64 = 30_000;

/// A further sign of life within this time is not noted.
const SYNC_NOTED_MS: i64 = 10_000;

/// How often changes are told: those of many at once wake everybody once.
const LOOK: Duration = Duration::from_secs(2);

/// What v1 of 2015 has beside the states of today: online, and wishing to be spoken to. Others are told
/// that the user is online.
pub const FREE_FOR_CHAT: &str = "free_for_chat";

/// Changes that are told and kept at once; of the others clients learn with their next sync.
const CHANGES_MAX: usize = 1_000;

/// Bytes of a status message.
const STATUS_BYTES_MAX: usize = 4_096;

/// What is known of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// `online`, `unavailable`, `offline`, or [`FREE_FOR_CHAT`].
    pub state: PresenceState,
    /// What the user says about it.
    pub status_msg: Option<String>,
    /// When the user last did something, milliseconds since 1970.
    pub last_active_ts: i64,
    /// When a client of the user last synced, milliseconds since 1970.
    pub last_sync_ms: i64,
    /// Whether it was a client that said the user is idle: then it may also say that this is over.
    pub idle_by_client: bool,
    /// The device that last said the user is online, and when: others can not say otherwise meanwhile.
    pub online_on: Option<(OwnedDeviceId, i64)>,
}

impl Presence {
    /// The content of an `m.presence` event.
    pub fn content(&self, now_ms: i64) -> Value {
        let ago_ms = now_ms.saturating_sub(self.last_active_ts).max(0);
        let active = self.is_about() && ago_ms < ACTIVE_MS;
        let mut content = json!({
            "presence": if self.is_about() { "online" } else { self.state.as_str() },
            "last_active_ago": ago_ms,
            "currently_active": active,
        });
        if let Some(status_msg) = &self.status_msg {
            content["status_msg"] = status_msg.clone().into();
        }
        content
    }

    /// Whether the user is online, in whatever mood.
    fn is_about(&self) -> bool {
        !matches!(self.state, PresenceState::Offline | PresenceState::Unavailable)
    }
}

/// Notes that a client of `who` syncs, and what it says of the user.
pub fn syncs(home: &Home, who: &Device, said: &PresenceState) {
    if *said == PresenceState::Offline {
        return;
    }
    let (now_ms, user) = (home.clock.now_ms(), who.user());
    let known = home.ephemera.presence(user);
    let is_online = *said == PresenceState::Online;
    let online_on = match known.as_ref().and_then(|known| known.online_on.clone()) {
        _ if is_online => Some((who.device_id.clone(), now_ms)),
        kept => kept.filter(|(device, at)| *device != who.device_id && now_ms - at < OFFLINE_AFTER_MS),
    };
    let (state, last_active_ts) = match &known {
        Some(known) if is_online && known.state == PresenceState::Unavailable && known.idle_by_client => {
            (PresenceState::Online, now_ms)
        }
        // Activity makes an idle user active again, syncing alone does not.
        Some(known) if is_online && known.state != PresenceState::Offline => {
            (known.state.clone(), known.last_active_ts)
        }
        // Another client knows better.
        Some(known) if !is_online && online_on.is_some() => (known.state.clone(), known.last_active_ts),
        Some(known) if !is_online => (said.clone(), known.last_active_ts),
        _ => (said.clone(), now_ms),
    };
    let idle_by_client = !is_online && online_on.is_none();
    let changed = known.as_ref().is_none_or(|known| known.state != state);
    let says_otherwise = known.as_ref().is_some_and(|known| known.idle_by_client != idle_by_client);
    let seen = known.as_ref().is_some_and(|known| now_ms - known.last_sync_ms < SYNC_NOTED_MS);
    if changed || says_otherwise || !seen {
        let status_msg = known.and_then(|known| known.status_msg);
        let presence =
            Presence { state, status_msg, last_active_ts, last_sync_ms: now_ms, idle_by_client, online_on };
        home.ephemera.set_presence(user, presence, changed);
    }
}

/// Has everybody told of `user` anew, who has another name or picture now: in 2015 presence says which.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn renamed(home: &Home, user: &UserId) -> Answer<()> {
    let unseen = || Presence {
        state: PresenceState::Offline,
        status_msg: None,
        last_active_ts: home.clock.now_ms(),
        last_sync_ms: 0,
        idle_by_client: false,
        online_on: None,
    };
    let presence = known(home, user).await?.unwrap_or_else(unseen);
    home.ephemera.set_presence(user, presence, true);
    Ok(())
}

/// Notes that `user` does something: sends, types, reads.
pub fn acts(home: &Home, user: &UserId) {
    let now_ms = home.clock.now_ms();
    let Some(mut known) = home.ephemera.presence(user) else { return };
    if known.state == PresenceState::Offline || now_ms - known.last_active_ts < SYNC_NOTED_MS {
        return;
    }
    known.last_active_ts = now_ms;
    let changed = !known.is_about();
    if changed {
        known.state = PresenceState::Online;
    }
    home.ephemera.set_presence(user, known, changed);
}

/// Sets the presence of `user`, who must be who asks.
///
/// # Errors
/// `M_FORBIDDEN` for another user, `M_INVALID_PARAM` if the message is too long.
pub async fn set(
    home: &Home,
    who: &Device,
    user: &UserId,
    state: PresenceState,
    status_msg: Option<String>,
) -> Answer<()> {
    if user != who.user() {
        return Err(Refusal::forbidden("You can not speak for the presence of somebody else"));
    }
    if status_msg.as_ref().is_some_and(|message| message.len() > STATUS_BYTES_MAX) {
        return Err(Refusal::invalid_param(format!("A status has at most {STATUS_BYTES_MAX} bytes")));
    }
    let now_ms = home.clock.now_ms();
    let status_msg = status_msg.filter(|message| !message.is_empty());
    let before = home.ephemera.presence(user);
    let presence = Presence {
        state,
        status_msg,
        last_active_ts: now_ms,
        last_sync_ms: now_ms,
        // What the user says stays until the user does something.
        idle_by_client: false,
        online_on: before.as_ref().and_then(|before| before.online_on.clone()),
    };
    let same = |before: &Presence| before.state == presence.state && before.status_msg == presence.status_msg;
    let changed = !before.as_ref().is_some_and(same);
    home.ephemera.set_presence(user, presence, changed);
    Ok(())
}

/// The presence of `user`, as the content of an `m.presence` event.
///
/// # Errors
/// `M_FORBIDDEN` if who asks shares no room with the user.
pub async fn get(home: &Home, who: &Device, user: &UserId) -> Answer<Value> {
    if user != who.user() && !shares_room(home, who.user(), user).await? {
        return Err(Refusal::forbidden("You share no room with this user"));
    }
    Ok(match known(home, user).await? {
        Some(known) => known.content(home.clock.now_ms()),
        None => json!({ "presence": "offline" }),
    })
}

/// What is known of `user`, if anything; whether anybody may learn of it is decided elsewhere.
async fn known(home: &Home, user: &UserId) -> Answer<Option<Presence>> {
    if let Some(known) = home.ephemera.presence(user) {
        return Ok(Some(known));
    }
    // Not about since the server started.
    let stored = store::presence::get(&home.db, user.as_str()).await?;
    Ok(stored.map(|stored| Presence {
        state: PresenceState::Offline,
        status_msg: stored.status_msg,
        last_active_ts: stored.last_active_ts,
        last_sync_ms: 0,
        idle_by_client: false,
        online_on: None,
    }))
}

/// Whether `one` may know of the presence of `other`, by a room that both are in.
///
/// # Errors
/// If the database does not answer.
async fn shares_room(home: &Home, one: &UserId, other: &UserId) -> Answer<bool> {
    let (ones, others) = (memberships::of_user(home, one).await?, memberships::of_user(home, other).await?);
    let is_joined = |member: &&Member| member.membership == "join";
    Ok(ones
        .iter()
        .filter(is_joined)
        .any(|member| others.in_room(member.room).as_ref().is_some_and(is_joined)))
}

/// Lets those fade who are not about any more, tells of whom something changed, and keeps it. A
/// background loop.
pub async fn fading(home: &Home) {
    let mut told = home.ephemera.serial();
    loop {
        sleep(LOOK).await;
        fade(home);
        let upto = home.ephemera.serial();
        let changed = home.ephemera.presence_changed_after(told, CHANGES_MAX);
        told = upto;
        if let Err(refusal) = tell(home, &changed).await {
            tracing::warn!(%refusal, "presence was not told");
        }
    }
}

/// Makes those idle who did nothing for long, and those offline whose clients are gone.
fn fade(home: &Home) {
    let now_ms = home.clock.now_ms();
    home.ephemera.update_presence(|user, known| {
        if known.state == PresenceState::Offline {
            return false;
        }
        if home.bell.is_listening(user) {
            known.last_sync_ms = now_ms;
        }
        if now_ms - known.last_sync_ms > OFFLINE_AFTER_MS {
            known.state = PresenceState::Offline;
            return true;
        }
        let idle = known.state == PresenceState::Online && now_ms - known.last_active_ts > IDLE_AFTER_MS;
        if idle {
            known.state = PresenceState::Unavailable;
        }
        idle
    });
}

/// Wakes whoever shares a room with those of whom something changed, and keeps what changed.
async fn tell(home: &Home, changed: &[(OwnedUserId, Presence)]) -> Answer<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new();
    let mut keys = HashSet::new();
    for (user, presence) in changed {
        let standings = memberships::of_user(home, user).await?;
        keys.extend(standings.iter().filter(|member| member.membership == "join").map(|member| member.room));
        let stored = StoredPresence {
            user_id: user.to_string(),
            presence: presence.state.as_str().to_owned(),
            status_msg: presence.status_msg.clone(),
            last_active_ts: presence.last_active_ts,
        };
        store::presence::put(&mut batch, &stored);
    }
    for key in keys {
        let room = rooms::find_by_key(home, key).await?;
        if room.with_joined_here(HashSet::len) <= CARRYING_MEMBERS_MAX {
            home.bell.ring_soon(Some(room), Vec::new());
        }
    }
    home.db.commit(batch).await?;
    Ok(())
}

/// Those whose presence changed after the serial `since` and whom `user` sees: it shares a room with them
/// that carries presence. The last one who changed comes last.
///
/// # Errors
/// If the database does not answer.
pub async fn seen_after(
    home: &Home,
    user: &UserId,
    standings: &Standings,
    since: u64,
) -> Answer<Vec<(OwnedUserId, Presence)>> {
    if home.ephemera.presence_changed_after(since, 1).is_empty() {
        return Ok(Vec::new());
    }
    let (mut rooms, mut people) = (Vec::new(), 0);
    for member in standings.iter().filter(|member| member.membership == "join") {
        let room = rooms::find_by_key(home, member.room).await?;
        let here = room.with_joined_here(HashSet::len);
        if here <= CARRYING_MEMBERS_MAX {
            people += here;
            rooms.push(room);
        }
    }
    // Whichever is less: to look for each who changed in each of the rooms, or at each who is in them. When
    // thousands arrive at once, those who share a room with a few look at these few.
    let changed_max = people / rooms.len().max(1);
    let mut changed = home.ephemera.presence_changed_after(since, changed_max + 1);
    if changed.len() <= changed_max {
        let shares =
            |other: &UserId| rooms.iter().any(|room| room.with_joined_here(|here| here.contains(other)));
        changed.retain(|(other, _)| other == user || shares(other));
        return Ok(changed);
    }
    let mut seen = BTreeMap::new();
    home.ephemera.presence_of_after([user], since, &mut seen);
    for room in rooms {
        let look = |here: &HashSet<OwnedUserId>| {
            home.ephemera.presence_of_after(here.iter().map(|other| &**other), since, &mut seen);
        };
        room.with_joined_here(look);
    }
    Ok(seen.into_values().collect())
}

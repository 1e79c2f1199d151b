//! Delayed events (MSC4140): what users want to happen in a room later, unless they take it back.
//!
//! A delayed event is sent in the transaction of its id, together with the note that it was: however
//! often it is tried, and by however many nodes, it happens once, and what was cancelled never does.
//! Whether the sender may send it is asked when it is sent.

use std::time::Duration;

use rules::canonical;
use ruma::{CanonicalJsonObject, EventId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use store::{
    Batch,
    delayed_events::{self as stored, DelayedEvent, Outcome},
};
use tokio::sync::Notify;

use super::{Txn, memory, send, set_state};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::{Device, Kind},
};

/// The longest delay in milliseconds: a week.
pub const DELAY_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;

/// Delayed events of one user that may wait at the same time.
pub const SCHEDULED_MAX: i64 = 100;

/// Delayed events of one user whose outcome is remembered.
const FINALISED_MAX: i64 = 100;

/// How long an outcome is remembered, in milliseconds.
const FINALISED_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// Bytes of the content of a delayed event: an event has at most as many in all.
const CONTENT_BYTES_MAX: usize = 65_536;

/// Bytes of its type and its state key.
const NAME_BYTES_MAX: usize = 255;

/// Delayed events that are read at once when they are due.
const DUE_MAX: i64 = 100;

/// When it is looked again for what another node was asked for.
const LOOKED_EVERY_MS: i64 = 10_000;

/// When an event is tried again that could not be sent because the server was out of order, in
/// milliseconds.
const RETRY_MS: i64 = 10_000;

/// Wakes the loop that sends.
#[derive(Debug, Default)]
pub(super) struct Delays(Notify);

/// What somebody wants to happen later.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The room it is for.
    pub room_id: OwnedRoomId,
    /// The event's `type`.
    pub event_type: String,
    /// The event's `state_key`, for a state event.
    pub state_key: Option<String>,
    /// The event's `content`.
    pub content: CanonicalJsonObject,
    /// How long to wait, in milliseconds.
    pub delay_ms: i64,
    /// The endpoint, its path and the transaction id, if it has one.
    pub txn: Option<String>,
}

/// What can be done about a delayed event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It waits its whole delay again.
    Restart,
    /// It is sent now.
    Send,
    /// It is never sent.
    Cancel,
}

/// Keeps an event to be sent later and answers its delay id; the same one for the same transaction id.
///
/// # Errors
/// `M_INVALID_PARAM` without a delay, `M_UNKNOWN` with `M_MAX_DELAY_EXCEEDED` past [`DELAY_MS_MAX`],
/// `M_LIMIT_EXCEEDED` past [`SCHEDULED_MAX`], `M_TOO_LARGE`, `M_NOT_FOUND` if there is no such room.
pub async fn schedule(home: &Home, who: &Device, wish: Wish) -> Answer<String> {
    who.may_act()?;
    check_delay(wish.delay_ms)?;
    memory::find(home, &wish.room_id).await?;
    let content = serde_json::to_string(&wish.content).map_err(|error| Refusal::broken(error.to_string()))?;
    let names = [Some(&wish.event_type), wish.state_key.as_ref()];
    if content.len() > CONTENT_BYTES_MAX || names.into_iter().flatten().any(|n| n.len() > NAME_BYTES_MAX) {
        return Err(Refusal::too_large("The event would be larger than events may be"));
    }
    let delay_id = home.dice.secret("");
    let txn = wish.txn.unwrap_or_else(|| delay_id.clone());
    let new = DelayedEvent {
        delay_id: delay_id.clone(),
        user_id: who.user_id.to_string(),
        device_id: who.device_id.to_string(),
        room_id: wish.room_id.to_string(),
        event_type: wish.event_type,
        state_key: wish.state_key,
        content,
        delay_ms: wish.delay_ms,
        since_ts: home.clock.now_ms(),
        finalised_ts: None,
        event_id: None,
        error: None,
    };
    let mut batch = Batch::new();
    stored::schedule(&mut batch, new, txn.clone(), SCHEDULED_MAX);
    stored::forget_oldest(&mut batch, who.user_id.as_str(), FINALISED_MAX);
    match home.db.commit(batch).await {
        Ok(_) => {}
        Err(store::Error::Refused { .. }) => return asked_before(home, who, &txn).await,
        Err(error) => return Err(error.into()),
    }
    home.rooms.delays.0.notify_one();
    Ok(delay_id)
}

fn check_delay(delay_ms: i64) -> Answer<()> {
    if delay_ms <= 0 {
        return Err(Refusal::invalid_param("The delay is a positive number of milliseconds"));
    }
    if delay_ms > DELAY_MS_MAX {
        let message = format!("An event can be delayed by {DELAY_MS_MAX} milliseconds at most");
        return Err(Refusal::unknown(message)
            .with("org.matrix.msc4140.errcode", "M_MAX_DELAY_EXCEEDED".into())
            .with("org.matrix.msc4140.max_delay", DELAY_MS_MAX.into()));
    }
    Ok(())
}

/// The delayed event that the same transaction led to; without one, the user has too many.
async fn asked_before(home: &Home, who: &Device, txn: &str) -> Answer<String> {
    let (user, device) = (who.user_id.as_str(), who.device_id.as_str());
    if let Some(delay_id) = stored::of_txn(&home.db, user, device, txn).await? {
        return Ok(delay_id);
    }
    let next = stored::scheduled(&home.db, user).await?.into_iter().next();
    let due_ms = next.map_or(0, |next| next.since_ts + next.delay_ms);
    let wait_ms = u64::try_from(due_ms - home.clock.now_ms()).unwrap_or_default();
    let mut refusal = Refusal::limit_exceeded(Duration::from_millis(wait_ms));
    refusal.message = format!("At most {SCHEDULED_MAX} delayed events of a user may wait").into();
    Err(refusal)
}

/// The delayed events of a user that wait, the next one first.
///
/// # Errors
/// If the database does not answer.
pub async fn list(home: &Home, who: &Device) -> Answer<Vec<DelayedEvent>> {
    Ok(stored::scheduled(&home.db, who.user_id.as_str()).await?)
}

/// A delayed event of the user, also if it does not wait any more.
///
/// # Errors
/// `M_NOT_FOUND` if the user has no such delayed event.
pub async fn get(home: &Home, who: &Device, delay_id: &str) -> Answer<DelayedEvent> {
    find(home, Some(who), delay_id).await
}

async fn find(home: &Home, who: Option<&Device>, delay_id: &str) -> Answer<DelayedEvent> {
    let found = stored::get(&home.db, delay_id).await?;
    let found = found.filter(|delayed| who.is_none_or(|who| who.user_id == delayed.user_id));
    found.ok_or_else(|| Refusal::not_found("There is no such delayed event"))
}

/// Does something about a delayed event. Who has no token may do so, too: that is what an id which
/// nobody can guess is for (an SFU ends the calls of those whose connection is gone).
///
/// # Errors
/// `M_NOT_FOUND` if there is no such delayed event or it is another's, 409 if it came to another end
/// before, and why it can not be sent.
pub async fn act(home: &Home, who: Option<&Device>, delay_id: &str, action: Action) -> Answer<()> {
    let delayed = find(home, who, delay_id).await?;
    if delayed.finalised_ts.is_some() {
        return agree(&delayed, action);
    }
    let now_ms = home.clock.now_ms();
    let mut batch = Batch::new();
    match action {
        Action::Send => {
            send_now(home, &delayed).await?;
            return Ok(());
        }
        Action::Cancel => stored::finalise(&mut batch, delay_id, Outcome::Cancelled, now_ms),
        Action::Restart => {
            let send_ts = now_ms.saturating_add(delayed.delay_ms);
            stored::restart(&mut batch, delay_id, now_ms, send_ts);
        }
    }
    // Nothing is taken from under an event that is being sent: its room would have to begin anew.
    let alone = user_of(&delayed).map(|user| Txn::of_delay(delay_id).key_of(&user))?;
    let _alone = home.rooms.txns.alone(alone).await;
    match home.db.commit(batch).await {
        Ok(_) => Ok(()),
        Err(store::Error::Refused { .. }) => agree(&find(home, who, delay_id).await?, action),
        Err(error) => Err(error.into()),
    }
}

/// Whether what became of a delayed event is what `action` wants.
fn agree(delayed: &DelayedEvent, action: Action) -> Answer<()> {
    match (action, delayed.event_id.is_some()) {
        (Action::Send, true) | (Action::Cancel, false) => Ok(()),
        (_, true) => Err(Refusal::new(409, "M_UNKNOWN", "The delayed event has been sent already")),
        (_, false) => Err(cancelled()),
    }
}

fn cancelled() -> Refusal {
    Refusal::new(409, "M_UNKNOWN", "The delayed event has been cancelled")
}

/// What became of a delayed event that somebody began to send before.
pub(super) async fn done_before(home: &Home, delay_id: &str) -> Answer<Option<OwnedEventId>> {
    let delayed = stored::get(&home.db, delay_id).await?.ok_or_else(cancelled)?;
    match (delayed.finalised_ts, delayed.event_id) {
        (None, _) => Ok(None),
        (Some(_), Some(event_id)) => Ok(EventId::parse(event_id).ok()),
        (Some(_), None) => Err(cancelled()),
    }
}

/// Sends a delayed event as if its user did it now.
async fn send_now(home: &Home, delayed: &DelayedEvent) -> Answer<OwnedEventId> {
    let damaged = || Refusal::broken("a delayed event is stored damaged");
    let who = sender(home, delayed).await?;
    let room_id = RoomId::parse(&*delayed.room_id).map_err(|_| damaged())?;
    let content = canonical::canonical_object(delayed.content.as_bytes())?;
    let txn = Txn::of_delay(&delayed.delay_id);
    let event_id = match &delayed.state_key {
        Some(state_key) => {
            let room = memory::find(home, &room_id).await?;
            let place = (&*delayed.event_type, &**state_key);
            set_state::set_state_once(home, &who, &room, place, content, Some(txn)).await?
        }
        None => send::send_once(home, &who, &room_id, &delayed.event_type, content, Some(txn)).await?,
    };
    // What was so already happened without the note.
    finalise(home, delayed, Outcome::Sent(event_id.to_string())).await?;
    Ok(event_id)
}

/// The user of a delayed event, as it is now.
async fn sender(home: &Home, delayed: &DelayedEvent) -> Answer<Device> {
    let account = store::accounts::get(&home.db, &delayed.user_id).await?;
    let account = account.filter(|account| !account.deactivated);
    let account = account.ok_or_else(|| Refusal::user_deactivated("The account was closed"))?;
    if account.locked {
        return Err(Refusal::user_locked());
    }
    Ok(Device {
        user_id: user_of(delayed)?,
        device_id: delayed.device_id.as_str().into(),
        kind: Kind::of(&account.kind),
        admin: account.admin,
        suspended: account.suspended,
        token_hash: [0; 32],
        address: None,
    })
}

fn user_of(delayed: &DelayedEvent) -> Answer<OwnedUserId> {
    OwnedUserId::try_from(delayed.user_id.as_str())
        .map_err(|_| Refusal::broken("a delayed event is stored with a malformed user id"))
}

async fn finalise(home: &Home, delayed: &DelayedEvent, outcome: Outcome) -> Answer<()> {
    let mut batch = Batch::new();
    stored::finalise(&mut batch, &delayed.delay_id, outcome, home.clock.now_ms());
    match home.db.commit(batch).await {
        Ok(_) | Err(store::Error::Refused { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends delayed events when they are due. A background loop: runs until the server stops.
pub async fn keep_sending(home: &Home) {
    let mut stopping = home.stopping.subscribe();
    loop {
        let next_ts = match send_due(home).await {
            Ok(next_ts) => next_ts,
            Err(error) => {
                tracing::warn!(%error, "delayed events could not be sent yet");
                None
            }
        };
        let now_ms = home.clock.now_ms();
        let wait_ms = next_ts.map_or(LOOKED_EVERY_MS, |next_ts| (next_ts - now_ms).clamp(1, LOOKED_EVERY_MS));
        let wait = Duration::from_millis(wait_ms.unsigned_abs());
        let woken = tokio::time::timeout(wait, home.rooms.delays.0.notified());
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = woken => {}
        }
    }
}

/// Sends all that is due, in the order of time. Answers when there is something to do next, in
/// milliseconds since 1970.
///
/// # Errors
/// If the database does not answer.
pub async fn send_due(home: &Home) -> Answer<Option<i64>> {
    let now_ms = home.clock.now_ms();
    loop {
        let due = stored::due(&home.db, now_ms, DUE_MAX).await?;
        if due.is_empty() {
            break;
        }
        for delayed in due {
            match send_now(home, &delayed).await {
                Ok(_) => {}
                Err(refusal) if refusal.status >= 500 => {
                    // One that can not be sent holds up no other.
                    tracing::warn!(user = delayed.user_id, %refusal, "a delayed event is tried again");
                    let mut batch = Batch::new();
                    stored::postpone(&mut batch, &delayed.delay_id, now_ms + RETRY_MS);
                    home.db.commit(batch).await?;
                }
                Err(refusal) => {
                    let error = refusal.body().to_string();
                    finalise(home, &delayed, Outcome::Failed(error)).await?;
                }
            }
        }
    }
    Ok(stored::next_due(&home.db).await?)
}

/// Forgets what became of delayed events long ago.
pub(crate) fn sweep(batch: &mut Batch, now_ms: i64) {
    stored::forget(batch, now_ms - FINALISED_KEPT_MS);
}

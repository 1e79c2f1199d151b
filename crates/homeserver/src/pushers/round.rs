//! A round: what one pusher does when it is its turn. It looks for what is to be pushed and pushes it, one
//! request after the other, and notes how far it got before it goes on.

use std::collections::HashMap;

use ruma::UserId;
use serde::Deserialize;
use store::{
    Batch,
    pushers::{self as stored, Pusher},
};

use super::{
    look::{Due, look},
    notice::{self, Data},
};
use crate::{
    Home, outgoing,
    refusal::{Answer, Refusal},
};

/// Requests in one round, and how long it may have taken before one more, in milliseconds; then others
/// have their turn.
const REQUESTS_MAX: usize = 16;
const ROUND_MS_MAX: i64 = 5_000;

/// A gateway that takes longer to answer is treated as one that does not, in milliseconds.
const SLOW_MS: i64 = 5_000;

/// For how long it is tried to push an event, in milliseconds.
const EVENT_LIFE_MS: i64 = 24 * 60 * 60 * 1000;

/// Answers that say that it is the request which is wrong.
const WRONG_REQUEST: [u16; 3] = [400, 413, 422];

/// How often an event is pushed to a gateway that finds the request wrong.
const WRONG_REQUESTS_MAX: u32 = 5;

/// The longest that a gateway can ask for to be left alone, in seconds.
const RETRY_AFTER_S_MAX: u64 = 60 * 60;

/// What is known of a pusher between its rounds.
#[derive(Default)]
pub(super) struct Progress {
    /// All up to this position is looked at.
    pub(super) looked_upto: i64,
    /// How much the user has not read in each room, where there is any; `None` if it must be counted.
    pub(super) unread: Option<HashMap<i64, u32>>,
    /// How often in a row the gateway could not be told.
    pub(super) failures: u32,
    /// Whether the gateway answered in time in the last round; `None` if it was not asked.
    pub(super) answered: Option<bool>,
    /// The event that the gateway found wrong last, and how often.
    wrong: (i64, u32),
}

impl Progress {
    fn unread(&self) -> u32 {
        let counts = self.unread.iter().flat_map(HashMap::values);
        counts.fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing to do until something happens.
    Done,
    /// There is more to do.
    More,
    /// The pusher is no more.
    Gone,
    /// The gateway could not be told.
    Failed {
        /// How long it wants to be left alone, in milliseconds.
        retry_after_ms: i64,
    },
}

/// What became of a request.
enum Sent {
    Delivered,
    Rejected,
    /// It is not tried again.
    GivenUp,
    Failed {
        retry_after_ms: i64,
    },
}

/// One round of a pusher.
pub(super) async fn round(home: &Home, pusher: i64, progress: &mut Progress) -> End {
    progress.answered = None;
    go(home, pusher, progress).await.unwrap_or_else(|refusal| {
        let cause = refusal.cause.as_deref().unwrap_or(&refusal.message);
        tracing::warn!(pusher, cause, "notifications could not be pushed yet");
        End::Failed { retry_after_ms: 0 }
    })
}

async fn go(home: &Home, id: i64, progress: &mut Progress) -> Answer<End> {
    let begun_ms = home.clock.now_ms();
    let Some(pusher) = stored::get(&home.db, id).await? else { return Ok(End::Gone) };
    let user = UserId::parse(&*pusher.user_id).map_err(|error| Refusal::broken(error.to_string()))?;
    let data = Data::of(&pusher.set.data)?;
    let found = look(home, &pusher, &user, progress).await?;
    let unread = progress.unread();
    let mut told = pusher.told_unread;
    let news = !found.due.is_empty() || told.is_some_and(|told| told != i64::from(unread));
    if news && is_shut(home, &pusher).await? {
        return Ok(End::Done);
    }
    let mut requests = 0;
    for due in &found.due {
        if requests == REQUESTS_MAX || home.clock.now_ms() - begun_ms > ROUND_MS_MAX {
            return Ok(End::More);
        }
        if is_too_old(home, due) {
            metrics::counter!("hearth_pushes_total", "outcome" => "given_up").increment(1);
            continue;
        }
        requests += 1;
        let body = notice::of_event(home, &pusher, &user, &data, due, unread).await?;
        match send(home, &pusher, &data, progress, body, due.what.event.pos).await? {
            Sent::Delivered => told = Some(unread.into()),
            Sent::GivenUp => {}
            Sent::Rejected => return reject(home, &pusher).await,
            Sent::Failed { retry_after_ms } => return Ok(End::Failed { retry_after_ms }),
        }
        keep(home, id, due.what.event.pos, told).await?;
        progress.looked_upto = due.what.event.pos;
    }
    progress.looked_upto = found.upto;
    if found.more {
        return Ok(End::More);
    }
    tell_count(home, &pusher, &data, progress, (told, unread)).await
}

/// Pushes the number of what the user has not read, if it is not what was told last.
async fn tell_count(
    home: &Home,
    pusher: &Pusher,
    data: &Data,
    progress: &mut Progress,
    (told, unread): (Option<i64>, u32),
) -> Answer<End> {
    if told == Some(unread.into()) {
        return Ok(End::Done);
    }
    // Nobody waits to be told how it was when the pusher was set.
    if told.is_some() {
        let body = notice::of_count(pusher, data, unread)?;
        match send(home, pusher, data, progress, body, 0).await? {
            Sent::Delivered | Sent::GivenUp => {}
            Sent::Rejected => return reject(home, pusher).await,
            Sent::Failed { retry_after_ms } => return Ok(End::Failed { retry_after_ms }),
        }
    }
    keep(home, pusher.pusher, progress.looked_upto, Some(unread.into())).await?;
    Ok(End::Done)
}

/// Whether the account is one that nobody is to hear of now.
async fn is_shut(home: &Home, pusher: &Pusher) -> Answer<bool> {
    let account = store::accounts::get(&home.db, &pusher.user_id).await?;
    Ok(account.is_none_or(|account| account.locked || account.deactivated))
}

fn is_too_old(home: &Home, due: &Due) -> bool {
    let sent_ms = i64::try_from(u64::from(due.what.event.event.origin_server_ts().0)).unwrap_or(i64::MAX);
    home.clock.now_ms().saturating_sub(sent_ms) > EVENT_LIFE_MS
}

async fn keep(home: &Home, pusher: i64, upto: i64, told: Option<i64>) -> Answer<()> {
    let mut batch = Batch::new();
    stored::pushed(&mut batch, pusher, upto, told);
    home.db.commit(batch).await?;
    Ok(())
}

/// Removes a pusher whose key the gateway does not know any more.
async fn reject(home: &Home, pusher: &Pusher) -> Answer<End> {
    let mut batch = Batch::new();
    stored::remove_rejected(&mut batch, pusher);
    home.db.commit(batch).await?;
    tracing::info!(user = pusher.user_id, app_id = pusher.set.app_id, "the push gateway rejected a pusher");
    // If it was set again meanwhile it is still there.
    Ok(End::More)
}

/// Tells the gateway, and reads what it says of that.
async fn send(
    home: &Home,
    pusher: &Pusher,
    data: &Data,
    progress: &mut Progress,
    body: Vec<u8>,
    pos: i64,
) -> Answer<Sent> {
    let begun_ms = home.clock.now_ms();
    let reply = outgoing::post_to_gateway(home, &data.url, body).await;
    let took_ms = home.clock.now_ms() - begun_ms;
    metrics::histogram!("hearth_push_seconds").record(took_ms as f64 / 1000.0);
    let is_silent = matches!(reply, Err(outgoing::Error::Unreachable(_))) || took_ms > SLOW_MS;
    progress.answered = Some(!is_silent);
    let sent = match reply {
        Ok(reply) if (200..300).contains(&reply.status) => answered(pusher, &reply.body),
        Ok(reply) => {
            tracing::debug!(pusher = pusher.pusher, status = reply.status, "a push gateway refused");
            refused(&reply, progress, pos)
        }
        Err(error) => {
            tracing::debug!(pusher = pusher.pusher, %error, "a push gateway could not be told");
            Sent::Failed { retry_after_ms: 0 }
        }
    };
    let outcome = match &sent {
        Sent::Delivered => "delivered",
        Sent::Rejected => "rejected",
        Sent::GivenUp => "given_up",
        Sent::Failed { .. } => "failed",
    };
    metrics::counter!("hearth_pushes_total", "outcome" => outcome).increment(1);
    if !matches!(sent, Sent::Failed { .. }) {
        progress.failures = 0;
    }
    Ok(sent)
}

/// What a gateway that took a notification says. What is no such answer is not one of a push gateway.
fn answered(pusher: &Pusher, body: &[u8]) -> Sent {
    #[derive(Deserialize)]
    struct Answered {
        #[serde(default)]
        rejected: Vec<String>,
    }
    match serde_json::from_slice::<Answered>(body) {
        Ok(answered) if answered.rejected.contains(&pusher.set.pushkey) => Sent::Rejected,
        Ok(_) => Sent::Delivered,
        Err(_) => Sent::Failed { retry_after_ms: 0 },
    }
}

/// What follows from a refusal of the gateway.
fn refused(reply: &outgoing::Reply, progress: &mut Progress, pos: i64) -> Sent {
    if WRONG_REQUEST.contains(&reply.status) {
        let before = if progress.wrong.0 == pos { progress.wrong.1 } else { 0 };
        progress.wrong = (pos, before + 1);
        if before + 1 >= WRONG_REQUESTS_MAX {
            return Sent::GivenUp;
        }
    }
    let retry_after_s = reply.retry_after_s.unwrap_or(0).min(RETRY_AFTER_S_MAX);
    Sent::Failed { retry_after_ms: (retry_after_s * 1000).cast_signed() }
}

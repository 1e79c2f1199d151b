//! Delayed events: what users want to happen in a room later (MSC4140), and what became of it.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
};

/// A delayed event.
#[derive(Clone, Debug)]
pub struct DelayedEvent {
    /// Its id: whoever knows it may send, cancel or restart it.
    pub delay_id: String,
    /// Who sends it.
    pub user_id: String,
    /// The device that asked for it.
    pub device_id: String,
    /// The room it is for.
    pub room_id: String,
    /// The event's `type`.
    pub event_type: String,
    /// The event's `state_key`, if it is a state event.
    pub state_key: Option<String>,
    /// The event's `content`: a JSON object.
    pub content: String,
    /// How long it waits, milliseconds.
    pub delay_ms: i64,
    /// Since when it waits, milliseconds since 1970.
    pub since_ts: i64,
    /// When it was sent, cancelled or given up, milliseconds since 1970.
    pub finalised_ts: Option<i64>,
    /// The event it became.
    pub event_id: Option<String>,
    /// Why it could not be sent: an error object.
    pub error: Option<String>,
}

impl FromRow for DelayedEvent {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(DelayedEvent {
            delay_id: row.get(0)?,
            user_id: row.get(1)?,
            device_id: row.get(2)?,
            room_id: row.get(3)?,
            event_type: row.get(4)?,
            state_key: row.get(5)?,
            content: row.get(6)?,
            delay_ms: row.get(7)?,
            since_ts: row.get(8)?,
            finalised_ts: row.get(9)?,
            event_id: row.get(10)?,
            error: row.get(11)?,
        })
    }
}

/// Keeps a delayed event that was asked for with `txn`. Refuses the batch if the same was asked before,
/// or if `scheduled_max` of the user wait already.
pub fn schedule(batch: &mut Batch, new: DelayedEvent, txn: String, scheduled_max: i64) {
    let send_ts = new.since_ts.saturating_add(new.delay_ms);
    batch.must(
        "INSERT INTO delayed_event (delay_id, user_id, device_id, txn, room_id, event_type, state_key,
            content, delay_ms, since_ts, send_ts)
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
            CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS BIGINT), CAST($10 AS BIGINT),
            CAST($11 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM delayed_event WHERE user_id = $2 AND finalised_ts IS NULL) < $12
         ON CONFLICT DO NOTHING",
        vec![
            new.delay_id.into(),
            new.user_id.into(),
            new.device_id.into(),
            txn.into(),
            new.room_id.into(),
            new.event_type.into(),
            new.state_key.into(),
            new.content.into(),
            new.delay_ms.into(),
            new.since_ts.into(),
            send_ts.into(),
            scheduled_max.into(),
        ],
    );
}

/// The delayed event that was asked for with `txn`: its id.
pub async fn of_txn(db: &Db, user_id: &str, device_id: &str, txn: &str) -> Result<Option<String>> {
    let row = db
        .row::<(String,)>(
            "SELECT delay_id FROM delayed_event WHERE user_id = $1 AND device_id = $2 AND txn = $3",
            &[user_id.into(), device_id.into(), txn.into()],
        )
        .await?;
    Ok(row.map(|(delay_id,)| delay_id))
}

/// The delayed event with this id.
pub async fn get(db: &Db, delay_id: &str) -> Result<Option<DelayedEvent>> {
    db.row(
        "SELECT delay_id, user_id, device_id, room_id, event_type, state_key, content, delay_ms, since_ts,
            finalised_ts, event_id, error
         FROM delayed_event WHERE delay_id = $1",
        &[delay_id.into()],
    )
    .await
}

/// The delayed events of `user_id` that wait, the next one first.
pub async fn scheduled(db: &Db, user_id: &str) -> Result<Vec<DelayedEvent>> {
    db.rows(
        "SELECT delay_id, user_id, device_id, room_id, event_type, state_key, content, delay_ms, since_ts,
            finalised_ts, event_id, error
         FROM delayed_event WHERE user_id = $1 AND finalised_ts IS NULL ORDER BY send_ts, delay_id",
        &[user_id.into()],
    )
    .await
}

/// The delayed events whose time has come at `now_ms`, the longest due first, at most `limit`.
pub async fn due(db: &Db, now_ms: i64, limit: i64) -> Result<Vec<DelayedEvent>> {
    db.rows(
        "SELECT delay_id, user_id, device_id, room_id, event_type, state_key, content, delay_ms, since_ts,
            finalised_ts, event_id, error
         FROM delayed_event WHERE finalised_ts IS NULL AND send_ts <= $1 ORDER BY send_ts, delay_id LIMIT $2",
        &[now_ms.into(), limit.into()],
    )
    .await
}

/// When the next delayed event is due, milliseconds since 1970.
pub async fn next_due(db: &Db) -> Result<Option<i64>> {
    let row = db
        .row::<(i64,)>(
            "SELECT send_ts FROM delayed_event WHERE finalised_ts IS NULL ORDER BY send_ts LIMIT 1",
            &[],
        )
        .await?;
    Ok(row.map(|(send_ts,)| send_ts))
}

/// Has a delayed event wait from `since_ts` on until `send_ts`. Refuses the batch if it does not wait
/// any more.
pub fn restart(batch: &mut Batch, delay_id: &str, since_ts: i64, send_ts: i64) {
    batch.must(
        "UPDATE delayed_event SET since_ts = $2, send_ts = $3 WHERE delay_id = $1 AND finalised_ts IS NULL",
        vec![delay_id.to_owned().into(), since_ts.into(), send_ts.into()],
    );
}

/// Has a delayed event tried again at `send_ts`, if it waits.
pub fn postpone(batch: &mut Batch, delay_id: &str, send_ts: i64) {
    batch.run(
        "UPDATE delayed_event SET send_ts = $2 WHERE delay_id = $1 AND finalised_ts IS NULL",
        vec![delay_id.to_owned().into(), send_ts.into()],
    );
}

/// What became of a delayed event.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// This event.
    Sent(String),
    /// Nothing, as the user wanted.
    Cancelled,
    /// Nothing, for this reason: an error object.
    Failed(String),
}

/// Notes what became of a delayed event. Refuses the batch if it does not wait any more.
pub fn finalise(batch: &mut Batch, delay_id: &str, outcome: Outcome, now_ms: i64) {
    let (event_id, error) = match outcome {
        Outcome::Sent(event_id) => (Some(event_id), None),
        Outcome::Cancelled => (None, None),
        Outcome::Failed(error) => (None, Some(error)),
    };
    batch.must(
        "UPDATE delayed_event SET finalised_ts = $2, event_id = $3, error = $4
         WHERE delay_id = $1 AND finalised_ts IS NULL",
        vec![delay_id.to_owned().into(), now_ms.into(), event_id.into(), error.into()],
    );
}

/// Forgets what became of delayed events of `user_id`, but for the newest `kept_max`.
pub fn forget_oldest(batch: &mut Batch, user_id: &str, kept_max: i64) {
    batch.run(
        "DELETE FROM delayed_event
         WHERE user_id = $1 AND finalised_ts IS NOT NULL AND delay_id IN (
            SELECT delay_id FROM delayed_event WHERE user_id = $1 AND finalised_ts IS NOT NULL
            ORDER BY finalised_ts DESC, delay_id LIMIT 1000 OFFSET $2)",
        vec![user_id.to_owned().into(), kept_max.into()],
    );
}

/// Forgets what became of delayed events before `before_ms`.
pub fn forget(batch: &mut Batch, before_ms: i64) {
    batch.run("DELETE FROM delayed_event WHERE finalised_ts < $1", vec![before_ms.into()]);
}

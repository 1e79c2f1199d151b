//! Events: every PDU of every room, as the bytes that were signed, in stream order.

use bytes::Bytes;

use crate::{
    Batch, Db, PosRef, Result, Value,
    database::{FromRow, Row},
};

/// An event as it is stored.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its position in the stream.
    pub pos: i64,
    /// The room's key.
    pub room: i64,
    /// The event id.
    pub event_id: String,
    /// The canonical bytes of the PDU; pruned if it was redacted.
    pub json: Bytes,
    /// The state after it.
    pub state_root: Vec<u8>,
    /// The state event whose place it took.
    pub replaces: Option<String>,
    /// The redaction that pruned it.
    pub redacted_by: Option<String>,
    /// Whether it was accepted but is not shown (federation).
    pub soft_failed: bool,
    /// Whether it failed the authorization rules (federation).
    pub rejected: bool,
    /// The sender's device, if it sent the event with a transaction id.
    pub txn_device: Option<String>,
    /// That transaction id.
    pub txn_id: Option<String>,
    /// Whether others point to it in a way of which aggregations tell.
    pub has_children: bool,
}

impl FromRow for StoredEvent {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(StoredEvent {
            pos: row.get(0)?,
            room: row.get(1)?,
            event_id: row.get(2)?,
            json: row.get(3)?,
            state_root: row.get(4)?,
            replaces: row.get(5)?,
            redacted_by: row.get(6)?,
            soft_failed: row.get(7)?,
            rejected: row.get(8)?,
            txn_device: row.get(9)?,
            txn_id: row.get(10)?,
            has_children: row.get(11)?,
        })
    }
}

/// An event to be stored.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    /// The room's key, or where the writer will put it.
    pub room: Value<'static>,
    /// The event id.
    pub event_id: &'a str,
    /// The event's `type`.
    pub event_type: &'a str,
    /// The event's `state_key`, if it is a state event.
    pub state_key: Option<&'a str>,
    /// Who sent it.
    pub sender: &'a str,
    /// Milliseconds since 1970.
    pub origin_server_ts: i64,
    /// The canonical bytes of the PDU.
    pub json: Bytes,
    /// The state after it.
    pub state_root: &'a [u8],
    /// The state event whose place it takes.
    pub replaces: Option<&'a str>,
    /// The sender's device and transaction id.
    pub txn: Option<(&'a str, &'a str)>,
}

/// Appends an event at the position `pos`.
pub fn append(batch: &mut Batch, pos: PosRef, event: NewEvent<'_>) {
    let text = |text: &str| Value::from(text.to_owned());
    let (txn_device, txn_id) = event.txn.unzip();
    batch.run(
        "INSERT INTO event (pos, room, event_id, event_type, state_key, sender, origin_server_ts, json,
            state_root, replaces, soft_failed, rejected, txn_device, txn_id, has_children)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, FALSE, FALSE, $11, $12, FALSE)",
        vec![
            pos.into(),
            event.room,
            text(event.event_id),
            text(event.event_type),
            event.state_key.map(str::to_owned).into(),
            text(event.sender),
            event.origin_server_ts.into(),
            event.json.into(),
            event.state_root.to_vec().into(),
            event.replaces.map(str::to_owned).into(),
            txn_device.map(str::to_owned).into(),
            txn_id.map(str::to_owned).into(),
        ],
    );
}

/// Prunes an event: `json` are its bytes redacted, `redaction` is the event that did it; the first one
/// counts.
pub fn redact(batch: &mut Batch, event_id: &str, json: Bytes, redaction: &str) {
    batch.run(
        "UPDATE event SET json = $2, redacted_by = COALESCE(redacted_by, $3) WHERE event_id = $1",
        vec![event_id.to_owned().into(), json.into(), redaction.to_owned().into()],
    );
}

/// The event with this id, in whatever room.
pub async fn by_id(db: &Db, event_id: &str) -> Result<Option<StoredEvent>> {
    db.row(
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE event_id = $1",
        &[event_id.into()],
    )
    .await
}

/// The events with these ids, in stream order.
pub async fn by_ids(db: &Db, event_ids: &[String]) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE event_id = ANY($1) ORDER BY pos",
        &[event_ids.into()],
    )
    .await
}

/// The events at these positions, in stream order.
pub async fn at(db: &Db, positions: &[i64]) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE pos = ANY($1) ORDER BY pos",
        &[positions.into()],
    )
    .await
}

/// Events of `room` at or before `upto`, newest first, at most `limit`.
pub async fn before(db: &Db, room: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE room = $1 AND pos <= $2 ORDER BY pos DESC LIMIT $3",
        &[room.into(), upto.into(), limit.into()],
    )
    .await
}

/// Events of `room` after `since` and at or before `upto`, oldest first, at most `limit`.
pub async fn after(db: &Db, room: i64, since: i64, upto: i64, limit: i64) -> Result<Vec<StoredEvent>> {
    db.rows(
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE room = $1 AND pos > $2 AND pos <= $3 ORDER BY pos LIMIT $4",
        &[room.into(), since.into(), upto.into(), limit.into()],
    )
    .await
}

/// The state after the newest event of `room` at or before `upto`.
pub async fn root_at(db: &Db, room: i64, upto: i64) -> Result<Option<Vec<u8>>> {
    let row = db
        .row::<(Vec<u8>,)>(
            "SELECT state_root FROM event WHERE room = $1 AND pos <= $2 ORDER BY pos DESC LIMIT 1",
            &[room.into(), upto.into()],
        )
        .await?;
    Ok(row.map(|(root,)| root))
}

/// Events of `room` by their own time, nearest first: at or after `ts`, or at or before it. At most `limit`.
pub async fn nearest(db: &Db, room: i64, ts: i64, forwards: bool, limit: i64) -> Result<Vec<StoredEvent>> {
    let sql = if forwards {
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE room = $1 AND origin_server_ts >= $2 ORDER BY origin_server_ts, pos LIMIT $3"
    } else {
        "SELECT pos, room, event_id, json, state_root, replaces, redacted_by, soft_failed, rejected,
            txn_device, txn_id, has_children
         FROM event WHERE room = $1 AND origin_server_ts <= $2
         ORDER BY origin_server_ts DESC, pos DESC LIMIT $3"
    };
    db.rows(sql, &[room.into(), ts.into(), limit.into()]).await
}

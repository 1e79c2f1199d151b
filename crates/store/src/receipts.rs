//! Receipts: up to where who has read.

use crate::{
    Batch, Db, PosRef, Result,
    database::{FromRow, Row},
};

/// A receipt as it is stored: the newest of its user, type and thread.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Who has read.
    pub user_id: String,
    /// `m.read`, `m.read.private`, or `m.fully_read`, which only moves the marker in the account data.
    pub receipt_type: String,
    /// `main`, the root of a thread, or empty for a receipt without a thread.
    pub thread_id: String,
    /// Up to and with this event.
    pub event_id: String,
    /// Where that event stands.
    pub event_pos: i64,
    /// When the receipt was sent, milliseconds since 1970.
    pub ts: i64,
    /// The position of the receipt itself.
    pub pos: i64,
}

impl FromRow for Receipt {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Receipt {
            user_id: row.get(0)?,
            receipt_type: row.get(1)?,
            thread_id: row.get(2)?,
            event_id: row.get(3)?,
            event_pos: row.get(4)?,
            ts: row.get(5)?,
            pos: row.get(6)?,
        })
    }
}

/// Keeps a receipt in `room` at the position `pos`. Refuses the batch if the user's receipt of that
/// type and thread is at that event already, or past it: receipts only go forwards.
pub fn put(batch: &mut Batch, room: i64, pos: PosRef, receipt: &Receipt) {
    batch.must(
        "INSERT INTO receipt (room, user_id, receipt_type, thread_id, event_id, event_pos, ts, pos)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (room, user_id, receipt_type, thread_id) DO UPDATE
         SET event_id = $5, event_pos = $6, ts = $7, pos = $8 WHERE receipt.event_pos < $6",
        vec![
            room.into(),
            receipt.user_id.clone().into(),
            receipt.receipt_type.clone().into(),
            receipt.thread_id.clone().into(),
            receipt.event_id.clone().into(),
            receipt.event_pos.into(),
            receipt.ts.into(),
            pos.into(),
        ],
    );
}

/// The receipts in `room` that came after `since`, newest first, at most `limit`; private ones only
/// of `user_id`.
pub async fn after(db: &Db, room: i64, user_id: &str, since: i64, limit: i64) -> Result<Vec<Receipt>> {
    db.rows(
        "SELECT user_id, receipt_type, thread_id, event_id, event_pos, ts, pos FROM receipt
         WHERE room = $1 AND pos > $2 AND (receipt_type = 'm.read' OR (receipt_type = 'm.read.private' AND user_id = $3))
         ORDER BY pos DESC LIMIT $4",
        &[room.into(), since.into(), user_id.into(), limit.into()],
    )
    .await
}

/// All the receipts of `user_id` in `room`.
pub async fn of_user(db: &Db, room: i64, user_id: &str) -> Result<Vec<Receipt>> {
    db.rows(
        "SELECT user_id, receipt_type, thread_id, event_id, event_pos, ts, pos FROM receipt
         WHERE room = $1 AND user_id = $2",
        &[room.into(), user_id.into()],
    )
    .await
}

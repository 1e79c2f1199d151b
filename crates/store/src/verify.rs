//! What `hearth verify` asks: everything, page by page, and whether tables agree with each other.

use bytes::Bytes;

use crate::{
    Db, Result,
    database::{FromRow, Row},
    rooms::StoredRoom,
};

/// An event with everything that is stored beside its JSON.
#[derive(Clone, Debug)]
pub struct WholeEvent {
    /// Its position in the stream.
    pub pos: i64,
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
    /// Whether it failed the authorization rules (federation).
    pub rejected: bool,
    /// Whether it was accepted but is not shown (federation).
    pub soft_failed: bool,
    /// The column `event_type`.
    pub event_type: String,
    /// The column `state_key`.
    pub state_key: Option<String>,
    /// The column `sender`.
    pub sender: String,
    /// The column `origin_server_ts`.
    pub origin_server_ts: i64,
}

impl FromRow for WholeEvent {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(WholeEvent {
            pos: row.get(0)?,
            event_id: row.get(1)?,
            json: row.get(2)?,
            state_root: row.get(3)?,
            replaces: row.get(4)?,
            redacted_by: row.get(5)?,
            rejected: row.get(6)?,
            soft_failed: row.get(7)?,
            event_type: row.get(8)?,
            state_key: row.get(9)?,
            sender: row.get(10)?,
            origin_server_ts: row.get(11)?,
        })
    }
}

/// How many rooms, events, memberships and state nodes there are.
pub async fn counts(db: &Db) -> Result<(i64, i64, i64, i64)> {
    let sql = "SELECT (SELECT COUNT(*) FROM room), (SELECT COUNT(*) FROM event),
        (SELECT COUNT(*) FROM membership), (SELECT COUNT(*) FROM state_node)";
    Ok(db.scan(sql, &[]).await?.pop().unwrap_or_default())
}

/// Rooms whose key is after `since`, in the order of their keys, at most `limit`.
pub async fn rooms(db: &Db, since: i64, limit: i64) -> Result<Vec<StoredRoom>> {
    db.scan(
        "SELECT room, room_id, version, public, head, joined, invited, last_pos FROM room
         WHERE room > $1 ORDER BY room LIMIT $2",
        &[since.into(), limit.into()],
    )
    .await
}

/// Events of `room` after `since`, oldest first, at most `limit`.
pub async fn events(db: &Db, room: i64, since: i64, limit: i64) -> Result<Vec<WholeEvent>> {
    db.scan(
        "SELECT pos, event_id, json, state_root, replaces, redacted_by, rejected, soft_failed, event_type,
            state_key, sender, origin_server_ts
         FROM event WHERE room = $1 AND pos > $2 ORDER BY pos LIMIT $3",
        &[room.into(), since.into(), limit.into()],
    )
    .await
}

/// Members of `room` after the user `since`, in the order of their ids, at most `limit`: the user, the
/// membership, the member event and its position.
pub async fn members(
    db: &Db,
    room: i64,
    membership: &str,
    since: &str,
    limit: i64,
) -> Result<Vec<(String, String, i64)>> {
    db.scan(
        "SELECT user_id, event_id, pos FROM membership
         WHERE room = $1 AND membership = $2 AND user_id > $3 ORDER BY user_id LIMIT $4",
        &[room.into(), membership.into(), since.into(), limit.into()],
    )
    .await
}

/// State nodes after the name `since`, in the order of their names, at most `limit`: name and bytes.
pub async fn nodes(db: &Db, since: &[u8], limit: i64) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let sql = "SELECT name, bytes FROM state_node WHERE name > $1 ORDER BY name LIMIT $2";
    db.scan(sql, &[since.into(), limit.into()]).await
}

/// The position that every next write goes on from; nothing if there is no such row.
pub async fn stream(db: &Db) -> Result<Option<i64>> {
    let rows: Vec<(i64,)> = db.scan("SELECT pos FROM stream ORDER BY id LIMIT 2", &[]).await?;
    Ok(if let [(pos,)] = rows[..] { Some(pos) } else { None })
}

/// The newest position in each table that has any.
pub async fn newest(db: &Db) -> Result<Vec<(String, i64)>> {
    db.scan(
        "SELECT 'event', COALESCE(MAX(pos), 0) FROM event
         UNION ALL SELECT 'room', COALESCE(MAX(last_pos), 0) FROM room
         UNION ALL SELECT 'membership', COALESCE(MAX(pos), 0) FROM membership
         UNION ALL SELECT 'relation', COALESCE(MAX(pos), 0) FROM relation
         UNION ALL SELECT 'thread', COALESCE(MAX(latest), 0) FROM thread
         UNION ALL SELECT 'receipt', COALESCE(MAX(pos), 0) FROM receipt
         UNION ALL SELECT 'account_data', COALESCE(MAX(pos), 0) FROM account_data
         UNION ALL SELECT 'pusher', COALESCE(MAX(set_pos), 0) FROM pusher",
        &[],
    )
    .await
}

/// How many rows of each table belong to a room that is not there.
pub async fn without_room(db: &Db) -> Result<Vec<(String, i64)>> {
    db.scan(
        "SELECT 'event', COUNT(*) FROM event WHERE NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = event.room)
         UNION ALL SELECT 'membership', COUNT(*) FROM membership WHERE NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = membership.room)
         UNION ALL SELECT 'receipt', COUNT(*) FROM receipt WHERE NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = receipt.room)
         UNION ALL SELECT 'relation', COUNT(*) FROM relation WHERE NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = relation.room)
         UNION ALL SELECT 'alias', COUNT(*) FROM alias WHERE NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = alias.room)
         UNION ALL SELECT 'account_data', COUNT(*) FROM account_data WHERE room <> 0 AND NOT EXISTS
            (SELECT 1 FROM room WHERE room.room = account_data.room)",
        &[],
    )
    .await
}

/// How many rows of each table lead to an event that is not there.
pub async fn without_event(db: &Db) -> Result<Vec<(String, i64)>> {
    db.scan(
        "SELECT 'txn', COUNT(*) FROM txn WHERE NOT EXISTS
            (SELECT 1 FROM event WHERE event.pos = txn.pos)
         UNION ALL SELECT 'receipt', COUNT(*) FROM receipt WHERE NOT EXISTS
            (SELECT 1 FROM event WHERE event.pos = receipt.event_pos AND event.event_id = receipt.event_id)
         UNION ALL SELECT 'relation', COUNT(*) FROM relation WHERE NOT EXISTS
            (SELECT 1 FROM event WHERE event.pos = relation.pos AND event.room = relation.room)
         UNION ALL SELECT 'thread', COUNT(*) FROM thread WHERE NOT EXISTS
            (SELECT 1 FROM event WHERE event.pos = thread.latest AND event.room = thread.room)",
        &[],
    )
    .await
}

/// How many rows of each table belong to an account that is not there, or to a device.
pub async fn without_account(db: &Db) -> Result<Vec<(String, i64)>> {
    db.scan(
        "SELECT 'device', COUNT(*) FROM device WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = device.user_id)
         UNION ALL SELECT 'access_token', COUNT(*) FROM access_token WHERE NOT EXISTS
            (SELECT 1 FROM device WHERE device.user_id = access_token.user_id
             AND device.device_id = access_token.device_id)
         UNION ALL SELECT 'refresh_token', COUNT(*) FROM refresh_token WHERE NOT EXISTS
            (SELECT 1 FROM device WHERE device.user_id = refresh_token.user_id
             AND device.device_id = refresh_token.device_id)
         UNION ALL SELECT 'pusher', COUNT(*) FROM pusher WHERE NOT EXISTS
            (SELECT 1 FROM device WHERE device.user_id = pusher.user_id
             AND device.device_id = pusher.device_id)
         UNION ALL SELECT 'threepid', COUNT(*) FROM threepid WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = threepid.user_id)
         UNION ALL SELECT 'threepid_binding', COUNT(*) FROM threepid_binding WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = threepid_binding.user_id)
         UNION ALL SELECT 'external_id', COUNT(*) FROM external_id WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = external_id.user_id)
         UNION ALL SELECT 'filter', COUNT(*) FROM filter WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = filter.user_id)
         UNION ALL SELECT 'profile', COUNT(*) FROM profile WHERE NOT EXISTS
            (SELECT 1 FROM account WHERE account.user_id = profile.user_id)
         UNION ALL SELECT 'profile_word', COUNT(*) FROM profile_word WHERE NOT EXISTS
            (SELECT 1 FROM profile WHERE profile.user_id = profile_word.user_id)",
        &[],
    )
    .await
}

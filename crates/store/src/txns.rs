//! What requests with a transaction id led to, so that asked again they lead there again.
//!
//! A transaction is known by 32 bytes: hashes of the user, the device and the request, one after the
//! other. A row is a tenth of what the words would take, and the transactions of a device or of a user
//! still lie side by side.

use crate::{Batch, Db, PosRef, Result};

/// Transactions that are forgotten in one batch, so that writers do not wait for long.
const FORGOTTEN_AT_ONCE: i64 = 2_000;

/// Bytes of the hash of a user, and of a device.
const OWNER_BYTES: usize = 8;
/// Bytes of the hashes of the two.
const DEVICE_BYTES: usize = 2 * OWNER_BYTES;

/// What a transaction is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The transaction `txn` (the endpoint, its path, and the client's id) of a user's device.
    pub fn of(user_id: &str, device_id: &str, txn: &str) -> Self {
        let mut key = [0; 32];
        key[..OWNER_BYTES].copy_from_slice(&blake3::hash(user_id.as_bytes()).as_bytes()[..OWNER_BYTES]);
        key[OWNER_BYTES..DEVICE_BYTES]
            .copy_from_slice(&blake3::hash(device_id.as_bytes()).as_bytes()[..OWNER_BYTES]);
        key[DEVICE_BYTES..].copy_from_slice(&blake3::hash(txn.as_bytes()).as_bytes()[..32 - DEVICE_BYTES]);
        Key(key)
    }

    /// The first and the last key of the owner that the first `bytes` bytes name.
    fn range(self, bytes: usize) -> (Vec<u8>, Vec<u8>) {
        let end = |fill: u8| [&self.0[..bytes], &vec![fill; 32 - bytes][..]].concat();
        (end(0), end(u8::MAX))
    }
}

/// Remembers that a transaction led to the event at `pos`. Refuses the batch if it led somewhere before.
pub fn claim(batch: &mut Batch, key: Key, pos: PosRef, now_ms: i64) {
    batch.must(
        "INSERT INTO txn (txn, pos, created_ts) VALUES ($1, $2, $3) ON CONFLICT (txn) DO NOTHING",
        vec![key.0.to_vec().into(), pos.into(), now_ms.into()],
    );
}

/// The id of the event that a transaction led to.
pub async fn event_id(db: &Db, key: Key) -> Result<Option<String>> {
    let row = db
        .row::<(String,)>(
            "SELECT event.event_id FROM txn JOIN event ON event.pos = txn.pos WHERE txn.txn = $1",
            &[key.0[..].into()],
        )
        .await?;
    Ok(row.map(|(event_id,)| event_id))
}

/// Forgets the transactions of a device.
pub fn forget_of_device(batch: &mut Batch, user_id: &str, device_id: &str) {
    let (first, last) = Key::of(user_id, device_id, "").range(DEVICE_BYTES);
    batch.run("DELETE FROM txn WHERE txn >= $1 AND txn <= $2", vec![first.into(), last.into()]);
}

/// Forgets the transactions of all devices of a user except `keep`, if there is one to keep.
pub fn forget_of_user(batch: &mut Batch, user_id: &str, keep: Option<&str>) {
    // No device has an empty id.
    let key = Key::of(user_id, keep.unwrap_or_default(), "");
    let ((first, last), (kept_first, kept_last)) = (key.range(OWNER_BYTES), key.range(DEVICE_BYTES));
    batch.run(
        "DELETE FROM txn WHERE txn >= $1 AND txn <= $2 AND (txn < $3 OR txn > $4)",
        vec![first.into(), last.into(), kept_first.into(), kept_last.into()],
    );
}

/// Where in the order of keys the old transactions end that one batch is to forget: those after `since`
/// (nothing: from the first on) and from before `before_ms`, at most [`FORGOTTEN_AT_ONCE`]. There is no
/// index of their ages, which every message would have to write; this reads through the table.
pub async fn old_until(db: &Db, since: &[u8], before_ms: i64) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT txn FROM txn WHERE txn > $1 AND created_ts < $2 ORDER BY txn LIMIT $3";
    let old: Vec<(Vec<u8>,)> =
        db.scan(sql, &[since.into(), before_ms.into(), FORGOTTEN_AT_ONCE.into()]).await?;
    Ok(old.into_iter().next_back().map(|(key,)| key))
}

/// Forgets the transactions after `since`, up to `until`, that are from before `before_ms`.
pub fn forget_before(batch: &mut Batch, (since, until): (&[u8], &[u8]), before_ms: i64) {
    batch.run(
        "DELETE FROM txn WHERE txn > $1 AND txn <= $2 AND created_ts < $3",
        vec![since.to_vec().into(), until.to_vec().into(), before_ms.into()],
    );
}

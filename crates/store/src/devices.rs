//! Devices of accounts.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
    txns,
};

/// A device.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Its id.
    pub device_id: String,
    /// What its user calls it.
    pub display_name: Option<String>,
    /// When a request of it was seen last, milliseconds since 1970.
    pub last_seen_ts: Option<i64>,
    /// From where.
    pub last_seen_ip: Option<String>,
}

impl FromRow for DeviceRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(DeviceRow {
            device_id: row.get(0)?,
            display_name: row.get(1)?,
            last_seen_ts: row.get(2)?,
            last_seen_ip: row.get(3)?,
        })
    }
}

/// Notes a device; one that is there keeps its name and its age.
pub fn put(batch: &mut Batch, user_id: &str, device_id: &str, display_name: Option<&str>, now_ms: i64) {
    batch.run(
        "INSERT INTO device (user_id, device_id, display_name, created_ts) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, device_id) DO NOTHING",
        vec![
            user_id.to_owned().into(),
            device_id.to_owned().into(),
            display_name.map(str::to_owned).into(),
            now_ms.into(),
        ],
    );
}

/// Names a device. Refuses the batch if there is none.
pub fn rename(batch: &mut Batch, user_id: &str, device_id: &str, display_name: Option<&str>) {
    batch.must(
        "UPDATE device SET display_name = $3 WHERE user_id = $1 AND device_id = $2",
        vec![user_id.to_owned().into(), device_id.to_owned().into(), display_name.map(str::to_owned).into()],
    );
}

/// Notes when and from where a device was seen, unless it was seen later.
pub fn seen(batch: &mut Batch, user_id: &str, device_id: &str, ts: i64, ip: Option<String>) {
    batch.run(
        "UPDATE device SET last_seen_ts = $3, last_seen_ip = $4
         WHERE user_id = $1 AND device_id = $2 AND (last_seen_ts IS NULL OR last_seen_ts < $3)",
        vec![user_id.to_owned().into(), device_id.to_owned().into(), ts.into(), ip.into()],
    );
}

/// Forgets a device and the transactions it made. Its tokens are another table.
pub fn remove(batch: &mut Batch, user_id: &str, device_id: &str) {
    batch.run(
        "DELETE FROM device WHERE user_id = $1 AND device_id = $2",
        vec![user_id.to_owned().into(), device_id.to_owned().into()],
    );
    txns::forget_of_device(batch, user_id, device_id);
}

/// Forgets all devices of a user, except `keep`.
pub fn remove_of_user(batch: &mut Batch, user_id: &str, keep: Option<&str>) {
    batch.run(
        "DELETE FROM device WHERE user_id = $1 AND device_id <> $2",
        // No device has an empty id.
        vec![user_id.to_owned().into(), keep.unwrap_or_default().to_owned().into()],
    );
    txns::forget_of_user(batch, user_id, keep);
}

/// A device of a user.
pub async fn get(db: &Db, user_id: &str, device_id: &str) -> Result<Option<DeviceRow>> {
    db.row(
        "SELECT device_id, display_name, last_seen_ts, last_seen_ip FROM device
         WHERE user_id = $1 AND device_id = $2",
        &[user_id.into(), device_id.into()],
    )
    .await
}

/// All devices of a user.
pub async fn of_user(db: &Db, user_id: &str) -> Result<Vec<DeviceRow>> {
    db.rows(
        "SELECT device_id, display_name, last_seen_ts, last_seen_ip FROM device
         WHERE user_id = $1 ORDER BY device_id",
        &[user_id.into()],
    )
    .await
}

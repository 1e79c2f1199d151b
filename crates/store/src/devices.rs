//! Devices of accounts.

use crate::Batch;

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

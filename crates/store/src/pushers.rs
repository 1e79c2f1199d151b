//! Pushers: where notifications of users are sent to, and up to where they were.

use crate::{
    Batch, Db, PosRef, Result,
    database::{FromRow, Row},
};

/// A pusher.
#[derive(Clone, Debug)]
pub struct Pusher {
    /// The position at which it was set first.
    pub pusher: i64,
    /// Whose it is.
    pub user_id: String,
    /// What the client said of it.
    pub set: Set,
    /// The position at which it was set last.
    pub set_pos: i64,
    /// When that was, milliseconds since 1970.
    pub set_ts: i64,
    /// All up to this position is pushed, or is not to be.
    pub pushed_upto: i64,
    /// The number of unread messages that was pushed last.
    pub told_unread: Option<i64>,
}

/// What a client says of a pusher.
#[derive(Clone, Debug)]
pub struct Set {
    /// The device that sets it.
    pub device_id: String,
    /// The application, in the manner of reversed domain names.
    pub app_id: String,
    /// What the gateway knows the device by.
    pub pushkey: String,
    /// What people call the application.
    pub app_display_name: String,
    /// What people call the device.
    pub device_display_name: String,
    /// Which push rules for some clients only are meant for it (v1 of 2015).
    pub profile_tag: Option<String>,
    /// The language that the user reads.
    pub lang: String,
    /// A JSON object with the `url` of the gateway, and what the gateway is to get of it.
    pub data: String,
    /// Whether it was set through v1 of 2015.
    pub of_2015: bool,
}

impl FromRow for Pusher {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Pusher {
            pusher: row.get(0)?,
            user_id: row.get(1)?,
            set: Set {
                device_id: row.get(2)?,
                app_id: row.get(3)?,
                pushkey: row.get(4)?,
                app_display_name: row.get(5)?,
                device_display_name: row.get(6)?,
                profile_tag: row.get(7)?,
                lang: row.get(8)?,
                data: row.get(9)?,
                of_2015: row.get(10)?,
            },
            set_pos: row.get(11)?,
            set_ts: row.get(12)?,
            pushed_upto: row.get(13)?,
            told_unread: row.get(14)?,
        })
    }
}

/// Sets a pusher of `user_id` at the position `pos`. One with the same app and key is changed and goes on
/// where it is; a new one begins after `upto`. Refuses the batch if the user has `count_max` others, or
/// not that device.
pub fn set(batch: &mut Batch, user_id: &str, set: Set, pos: PosRef, upto: i64, now_ms: i64, count_max: i64) {
    batch.must(
        "INSERT INTO pusher (pusher, user_id, device_id, app_id, pushkey, app_display_name,
            device_display_name, profile_tag, lang, data, of_2015, set_pos, set_ts, pushed_upto)
         SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
            CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS TEXT),
            CAST($11 AS BOOLEAN), CAST($1 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM pusher
                WHERE user_id = $2 AND NOT (app_id = $4 AND pushkey = $5)) < $14
            AND EXISTS (SELECT 1 FROM device WHERE user_id = $2 AND device_id = $3)
         ON CONFLICT (app_id, pushkey, user_id) DO UPDATE SET device_id = excluded.device_id,
            app_display_name = excluded.app_display_name, device_display_name = excluded.device_display_name,
            profile_tag = excluded.profile_tag, lang = excluded.lang, data = excluded.data,
            of_2015 = excluded.of_2015, set_pos = excluded.set_pos, set_ts = excluded.set_ts",
        vec![
            pos.into(),
            user_id.to_owned().into(),
            set.device_id.into(),
            set.app_id.into(),
            set.pushkey.into(),
            set.app_display_name.into(),
            set.device_display_name.into(),
            set.profile_tag.into(),
            set.lang.into(),
            set.data.into(),
            set.of_2015.into(),
            now_ms.into(),
            upto.into(),
            count_max.into(),
        ],
    );
}

/// Removes the pusher of `user_id` with this app and key.
pub fn remove(batch: &mut Batch, user_id: &str, app_id: &str, pushkey: &str) {
    batch.run(
        "DELETE FROM pusher WHERE app_id = $1 AND pushkey = $2 AND user_id = $3",
        vec![app_id.to_owned().into(), pushkey.to_owned().into(), user_id.to_owned().into()],
    );
}

/// Removes the pushers with this app and key of all users but `user_id`.
pub fn remove_of_others(batch: &mut Batch, user_id: &str, app_id: &str, pushkey: &str) {
    batch.run(
        "DELETE FROM pusher WHERE app_id = $1 AND pushkey = $2 AND user_id <> $3",
        vec![app_id.to_owned().into(), pushkey.to_owned().into(), user_id.to_owned().into()],
    );
}

/// Removes a pusher, unless it was set again since it was read.
pub fn remove_rejected(batch: &mut Batch, pusher: &Pusher) {
    batch.run(
        "DELETE FROM pusher WHERE pusher = $1 AND set_pos = $2",
        vec![pusher.pusher.into(), pusher.set_pos.into()],
    );
}

/// Removes the pushers that a device set.
pub fn remove_of_device(batch: &mut Batch, user_id: &str, device_id: &str) {
    batch.run(
        "DELETE FROM pusher WHERE user_id = $1 AND device_id = $2",
        vec![user_id.to_owned().into(), device_id.to_owned().into()],
    );
}

/// Removes the pushers of a user, except those that the device `keep` set.
pub fn remove_of_user(batch: &mut Batch, user_id: &str, keep: Option<&str>) {
    batch.run(
        "DELETE FROM pusher WHERE user_id = $1 AND device_id <> $2",
        // No device has an empty id.
        vec![user_id.to_owned().into(), keep.unwrap_or_default().to_owned().into()],
    );
}

/// The pushers of a user, oldest first.
pub async fn of_user(db: &Db, user_id: &str) -> Result<Vec<Pusher>> {
    db.rows(
        "SELECT pusher, user_id, device_id, app_id, pushkey, app_display_name, device_display_name,
            profile_tag, lang, data, of_2015, set_pos, set_ts, pushed_upto, told_unread
         FROM pusher WHERE user_id = $1 ORDER BY pusher",
        &[user_id.into()],
    )
    .await
}

/// A pusher, if it is still there.
pub async fn get(db: &Db, pusher: i64) -> Result<Option<Pusher>> {
    db.row(
        "SELECT pusher, user_id, device_id, app_id, pushkey, app_display_name, device_display_name,
            profile_tag, lang, data, of_2015, set_pos, set_ts, pushed_upto, told_unread
         FROM pusher WHERE pusher = $1",
        &[pusher.into()],
    )
    .await
}

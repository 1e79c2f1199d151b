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

/// The pushers of these users: each with its user, the position at which it was set last, and its data.
pub async fn of_users(db: &Db, users: &[String]) -> Result<Vec<(i64, String, i64, String)>> {
    db.rows("SELECT pusher, user_id, set_pos, data FROM pusher WHERE user_id = ANY($1)", &[users.into()])
        .await
}

/// The users who have pushers.
pub async fn users(db: &Db) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = db.scan("SELECT DISTINCT user_id FROM pusher", &[]).await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// The users in whose rooms something happened that their pushers have not looked at.
pub async fn behind(db: &Db) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = db
        .scan(
            "SELECT DISTINCT p.user_id FROM pusher p
             JOIN membership m ON m.user_id = p.user_id JOIN room r ON r.room = m.room
             WHERE (m.membership = 'join' AND r.last_pos > p.pushed_upto) OR m.pos > p.pushed_upto",
            &[],
        )
        .await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// The rooms of `user_id` in which there is something after what the user has read of the whole room.
pub async fn perhaps_unread(db: &Db, user_id: &str) -> Result<Vec<i64>> {
    let rows: Vec<(i64,)> = db
        .scan(
            "SELECT m.room FROM membership m
             WHERE m.user_id = $1 AND m.membership = 'join'
                AND (SELECT MAX(e.pos) FROM event e WHERE e.room = m.room)
                    > COALESCE((SELECT MAX(r.event_pos) FROM receipt r
                        WHERE r.room = m.room AND r.user_id = $1 AND r.thread_id = ''
                            AND (r.receipt_type = 'm.read' OR r.receipt_type = 'm.read.private')), 0)",
            &[user_id.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(room,)| room).collect())
}

/// Notes that all up to `upto` is pushed or is not to be, and which number of unread messages was pushed last.
pub fn pushed(batch: &mut Batch, pusher: i64, upto: i64, told_unread: Option<i64>) {
    batch.run(
        "UPDATE pusher SET pushed_upto = CASE WHEN pushed_upto < $2 THEN $2 ELSE pushed_upto END,
            told_unread = $3 WHERE pusher = $1",
        vec![pusher.into(), upto.into(), told_unread.into()],
    );
}

/// Notes that nothing up to `upto` is to be pushed.
pub fn looked(batch: &mut Batch, pusher: i64, upto: i64) {
    batch.run(
        "UPDATE pusher SET pushed_upto = $2 WHERE pusher = $1 AND pushed_upto < $2",
        vec![pusher.into(), upto.into()],
    );
}

/// The rooms that `user_id` is joined to, each with the position of its newest event at or before `upto`.
pub async fn newest_events(db: &Db, user_id: &str, upto: i64) -> Result<Vec<(i64, Option<i64>)>> {
    db.scan(
        "SELECT m.room, (SELECT MAX(e.pos) FROM event e WHERE e.room = m.room AND e.pos <= $2)
         FROM membership m WHERE m.user_id = $1 AND m.membership = 'join'",
        &[user_id.into(), upto.into()],
    )
    .await
}

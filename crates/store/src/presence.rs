//! Presence: what was last known of who is about. Written lazily, for the time after a restart.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
};

/// What was last known of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPresence {
    /// Who.
    pub user_id: String,
    /// `online`, `unavailable` or `offline`.
    pub presence: String,
    /// What the user says about it.
    pub status_msg: Option<String>,
    /// When the user last did something, milliseconds since 1970.
    pub last_active_ts: i64,
}

impl FromRow for StoredPresence {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(StoredPresence {
            user_id: row.get(0)?,
            presence: row.get(1)?,
            status_msg: row.get(2)?,
            last_active_ts: row.get(3)?,
        })
    }
}

/// Remembers the presence of a user.
pub fn put(batch: &mut Batch, presence: &StoredPresence) {
    batch.run(
        "INSERT INTO presence (user_id, presence, status_msg, last_active_ts) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id) DO UPDATE SET presence = $2, status_msg = $3, last_active_ts = $4",
        vec![
            presence.user_id.clone().into(),
            presence.presence.clone().into(),
            presence.status_msg.clone().into(),
            presence.last_active_ts.into(),
        ],
    );
}

/// What was last known of a user.
pub async fn get(db: &Db, user_id: &str) -> Result<Option<StoredPresence>> {
    db.row(
        "SELECT user_id, presence, status_msg, last_active_ts FROM presence WHERE user_id = $1",
        &[user_id.into()],
    )
    .await
}

/// Puts `followed` on the presence list of `user_id`, if it is not there already.
pub fn follow(batch: &mut Batch, user_id: &str, followed: &str) {
    batch.run(
        "INSERT INTO presence_list (user_id, followed) VALUES ($1, $2)
         ON CONFLICT (user_id, followed) DO NOTHING",
        vec![user_id.to_owned().into(), followed.to_owned().into()],
    );
}

/// Takes `followed` off the presence list of `user_id`.
pub fn unfollow(batch: &mut Batch, user_id: &str, followed: &str) {
    batch.run(
        "DELETE FROM presence_list WHERE user_id = $1 AND followed = $2",
        vec![user_id.to_owned().into(), followed.to_owned().into()],
    );
}

/// Who is on the presence list of `user_id`.
pub async fn list(db: &Db, user_id: &str) -> Result<Vec<String>> {
    let sql = "SELECT followed FROM presence_list WHERE user_id = $1 ORDER BY followed";
    let rows = db.rows::<(String,)>(sql, &[user_id.into()]).await?;
    Ok(rows.into_iter().map(|(followed,)| followed).collect())
}

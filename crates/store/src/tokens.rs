//! Access, refresh and login tokens, by their hashes.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
};

/// The device and account behind an access token.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The user.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// When the token expires, milliseconds since 1970.
    pub expires_ts: Option<i64>,
    /// `user`, `guest` or `appservice`.
    pub kind: String,
    /// Whether the user administers this server.
    pub admin: bool,
    /// Whether the account is locked.
    pub locked: bool,
    /// Whether the account is suspended.
    pub suspended: bool,
}

impl FromRow for SessionRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(SessionRow {
            user_id: row.get(0)?,
            device_id: row.get(1)?,
            expires_ts: row.get(2)?,
            kind: row.get(3)?,
            admin: row.get(4)?,
            locked: row.get(5)?,
            suspended: row.get(6)?,
        })
    }
}

/// What the access token with this hash stands for; nothing if its account is deactivated.
pub async fn session(db: &Db, token_hash: &[u8; 32]) -> Result<Option<SessionRow>> {
    db.row(
        "SELECT t.user_id, t.device_id, t.expires_ts, a.kind, a.admin, a.locked, a.suspended
         FROM access_token t JOIN account a ON a.user_id = t.user_id
         WHERE t.token_hash = $1 AND NOT a.deactivated",
        &[token_hash.into()],
    )
    .await
}

/// Gives a device an access token.
pub fn add(
    batch: &mut Batch,
    token_hash: &[u8; 32],
    user_id: &str,
    device_id: &str,
    expires_ts: Option<i64>,
    refresh_hash: Option<[u8; 32]>,
) {
    batch.run(
        "INSERT INTO access_token (token_hash, user_id, device_id, expires_ts, refresh_hash)
         VALUES ($1, $2, $3, $4, $5)",
        vec![
            (*token_hash).into(),
            user_id.to_owned().into(),
            device_id.to_owned().into(),
            expires_ts.into(),
            refresh_hash.into(),
        ],
    );
}

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
    /// The refresh token that goes with it.
    pub refresh_hash: Option<Vec<u8>>,
    /// Whether the refresh token that it was got with is still good.
    pub follows: bool,
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
            refresh_hash: row.get(7)?,
            follows: row.get(8)?,
        })
    }
}

/// What the access token with this hash stands for; nothing if its account is deactivated.
pub async fn session(db: &Db, token_hash: &[u8; 32]) -> Result<Option<SessionRow>> {
    db.row(
        "SELECT t.user_id, t.device_id, t.expires_ts, a.kind, a.admin, a.locked, a.suspended, t.refresh_hash,
            EXISTS (SELECT 1 FROM refresh_token r WHERE r.next_hash = t.refresh_hash)
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

/// Gives a device a refresh token.
pub fn add_refresh(batch: &mut Batch, token_hash: &[u8; 32], user_id: &str, device_id: &str) {
    batch.run(
        "INSERT INTO refresh_token (token_hash, user_id, device_id) VALUES ($1, $2, $3)",
        vec![(*token_hash).into(), user_id.to_owned().into(), device_id.to_owned().into()],
    );
}

/// The device behind a refresh token.
#[derive(Clone, Debug)]
pub struct RefreshRow {
    /// The user.
    pub user_id: String,
    /// The device.
    pub device_id: String,
    /// Whether the account is locked.
    pub locked: bool,
}

impl FromRow for RefreshRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(RefreshRow { user_id: row.get(0)?, device_id: row.get(1)?, locked: row.get(2)? })
    }
}

/// What the refresh token with this hash stands for.
pub async fn of_refresh(db: &Db, token_hash: &[u8; 32]) -> Result<Option<RefreshRow>> {
    db.row(
        "SELECT r.user_id, r.device_id, a.locked
         FROM refresh_token r JOIN account a ON a.user_id = r.user_id
         WHERE r.token_hash = $1 AND NOT a.deactivated",
        &[token_hash.into()],
    )
    .await
}

/// Has the refresh token `old` followed by `new`; what followed it before and was never used is
/// gone. Refuses the batch if `old` is not good any more.
pub fn replace(batch: &mut Batch, old: &[u8; 32], new: &[u8; 32]) {
    batch.run(
        "DELETE FROM access_token
         WHERE refresh_hash = (SELECT next_hash FROM refresh_token WHERE token_hash = $1)",
        vec![(*old).into()],
    );
    batch.run(
        "DELETE FROM refresh_token
         WHERE token_hash = (SELECT next_hash FROM refresh_token WHERE token_hash = $1)",
        vec![(*old).into()],
    );
    batch.must(
        "UPDATE refresh_token SET next_hash = $2 WHERE token_hash = $1",
        vec![(*old).into(), (*new).into()],
    );
}

/// Ends a refresh token. Refuses the batch if it is not good any more.
pub fn use_refresh(batch: &mut Batch, token_hash: &[u8; 32]) {
    batch.must("DELETE FROM refresh_token WHERE token_hash = $1", vec![(*token_hash).into()]);
}

/// Ends the refresh token that the one with this hash followed.
pub fn retire_predecessor(batch: &mut Batch, refresh_hash: &[u8]) {
    batch.run("DELETE FROM refresh_token WHERE next_hash = $1", vec![refresh_hash.to_vec().into()]);
}

/// Ends all sessions of a device.
pub fn remove_of_device(batch: &mut Batch, user_id: &str, device_id: &str) {
    for sql in [
        "DELETE FROM access_token WHERE user_id = $1 AND device_id = $2",
        "DELETE FROM refresh_token WHERE user_id = $1 AND device_id = $2",
    ] {
        batch.run(sql, vec![user_id.to_owned().into(), device_id.to_owned().into()]);
    }
}

/// Ends all sessions of a user, except those of the device `keep`.
pub fn remove_of_user(batch: &mut Batch, user_id: &str, keep: Option<&str>) {
    for sql in [
        "DELETE FROM access_token WHERE user_id = $1 AND device_id <> $2",
        "DELETE FROM refresh_token WHERE user_id = $1 AND device_id <> $2",
    ] {
        // No device has an empty id.
        batch.run(sql, vec![user_id.to_owned().into(), keep.unwrap_or_default().to_owned().into()]);
    }
    batch.run("DELETE FROM login_token WHERE user_id = $1", vec![user_id.to_owned().into()]);
}

/// Keeps a login token.
pub fn add_login(batch: &mut Batch, token_hash: &[u8; 32], user_id: &str, expires_ts: i64) {
    batch.run(
        "INSERT INTO login_token (token_hash, user_id, expires_ts) VALUES ($1, $2, $3)",
        vec![(*token_hash).into(), user_id.to_owned().into(), expires_ts.into()],
    );
}

/// A login token that has not expired.
#[derive(Clone, Debug)]
pub struct LoginRow {
    /// Whom it lets in.
    pub user_id: String,
    /// Who may use it again, if it was used.
    pub txn_id: Option<String>,
    /// The device that was logged in with it.
    pub device_id: Option<String>,
}

impl FromRow for LoginRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(LoginRow { user_id: row.get(0)?, txn_id: row.get(1)?, device_id: row.get(2)? })
    }
}

/// The login token with this hash, if it has not expired.
pub async fn of_login(db: &Db, token_hash: &[u8; 32], now_ms: i64) -> Result<Option<LoginRow>> {
    db.row(
        "SELECT user_id, txn_id, device_id FROM login_token WHERE token_hash = $1 AND expires_ts > $2",
        &[token_hash.into(), now_ms.into()],
    )
    .await
}

/// Uses a login token up. Refuses the batch if somebody else was faster.
pub fn use_login(batch: &mut Batch, token_hash: &[u8; 32]) {
    batch
        .must("DELETE FROM login_token WHERE token_hash = $1 AND txn_id IS NULL", vec![(*token_hash).into()]);
}

/// Uses a login token so that only `txn_id` may use it again, for `device_id`. Refuses the batch if
/// somebody else was faster.
pub fn bind_login(batch: &mut Batch, token_hash: &[u8; 32], txn_id: &str, device_id: Option<&str>) {
    batch.must(
        "UPDATE login_token SET txn_id = $2, device_id = $3
         WHERE token_hash = $1 AND (txn_id IS NULL OR txn_id = $2)",
        vec![(*token_hash).into(), txn_id.to_owned().into(), device_id.map(str::to_owned).into()],
    );
}

/// Forgets tokens that expired before `before_ts` and that nothing leads back to.
pub fn sweep(batch: &mut Batch, before_ts: i64) {
    batch.run(
        "DELETE FROM access_token WHERE expires_ts < $1
         AND NOT EXISTS (SELECT 1 FROM refresh_token r WHERE r.token_hash = access_token.refresh_hash)",
        vec![before_ts.into()],
    );
    batch.run("DELETE FROM login_token WHERE expires_ts < $1", vec![before_ts.into()]);
}

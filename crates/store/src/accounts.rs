//! Accounts: who has one, and in which condition it is.

use crate::{
    Batch, Db, Result,
    database::{FromRow, Row},
};

/// An account.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// `user`, `guest` or `appservice`.
    pub kind: String,
    /// The hash of its password in PHC form; without one nobody logs in by password.
    pub password_hash: Option<String>,
    /// Whether the user administers this server.
    pub admin: bool,
    /// Whether it is closed for good.
    pub deactivated: bool,
    /// Whether the user asked that what it sent be hidden from those who come later.
    pub erased: bool,
    /// Whether it is locked.
    pub locked: bool,
    /// Whether it is suspended.
    pub suspended: bool,
}

impl FromRow for AccountRow {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(AccountRow {
            kind: row.get(0)?,
            password_hash: row.get(1)?,
            admin: row.get(2)?,
            deactivated: row.get(3)?,
            erased: row.get(4)?,
            locked: row.get(5)?,
            suspended: row.get(6)?,
        })
    }
}

/// Makes an account. Refuses the batch if the user id is taken.
pub fn create(
    batch: &mut Batch,
    user_id: &str,
    kind: &str,
    password_hash: Option<String>,
    admin: bool,
    now_ms: i64,
) {
    batch.must(
        "INSERT INTO account (user_id, kind, password_hash, admin, created_ts, deactivated, erased, locked,
            suspended)
         VALUES ($1, $2, $3, $4, $5, FALSE, FALSE, FALSE, FALSE) ON CONFLICT (user_id) DO NOTHING",
        vec![
            user_id.to_owned().into(),
            kind.to_owned().into(),
            password_hash.into(),
            admin.into(),
            now_ms.into(),
        ],
    );
}

/// Whether there is, or ever was, an account with this user id.
pub async fn exists(db: &Db, user_id: &str) -> Result<bool> {
    let row = db.row::<(i64,)>("SELECT 1 FROM account WHERE user_id = $1", &[user_id.into()]).await?;
    Ok(row.is_some())
}

/// The account with this user id, also if it is deactivated.
pub async fn get(db: &Db, user_id: &str) -> Result<Option<AccountRow>> {
    db.row(
        "SELECT kind, password_hash, admin, deactivated, erased, locked, suspended
         FROM account WHERE user_id = $1",
        &[user_id.into()],
    )
    .await
}

/// Notes which terms the user agreed to: a JSON object of versions by id. Refuses the batch if there
/// is no such account.
pub fn set_agreed(batch: &mut Batch, user_id: &str, agreed: String) {
    batch.must(
        "UPDATE account SET agreed = $2 WHERE user_id = $1",
        vec![user_id.to_owned().into(), agreed.into()],
    );
}

/// Which terms the user agreed to, if there were any.
pub async fn agreed(db: &Db, user_id: &str) -> Result<Option<String>> {
    let sql = "SELECT agreed FROM account WHERE user_id = $1";
    let row = db.row::<(Option<String>,)>(sql, &[user_id.into()]).await?;
    Ok(row.and_then(|(agreed,)| agreed))
}

/// Gives an account another password. Refuses the batch if there is no such account.
pub fn set_password(batch: &mut Batch, user_id: &str, password_hash: Option<String>) {
    batch.must(
        "UPDATE account SET password_hash = $2 WHERE user_id = $1 AND NOT deactivated",
        vec![user_id.to_owned().into(), password_hash.into()],
    );
}

/// Locks or unlocks an account. Refuses the batch if there is no such account.
pub fn set_locked(batch: &mut Batch, user_id: &str, locked: bool) {
    batch.must(
        "UPDATE account SET locked = $2 WHERE user_id = $1 AND NOT deactivated",
        vec![user_id.to_owned().into(), locked.into()],
    );
}

/// Suspends an account, or ends that. Refuses the batch if there is no such account.
pub fn set_suspended(batch: &mut Batch, user_id: &str, suspended: bool) {
    batch.must(
        "UPDATE account SET suspended = $2 WHERE user_id = $1 AND NOT deactivated",
        vec![user_id.to_owned().into(), suspended.into()],
    );
}

/// Makes a user an administrator, or ends that. Refuses the batch if there is no such account.
pub fn set_admin(batch: &mut Batch, user_id: &str, admin: bool) {
    batch.must(
        "UPDATE account SET admin = $2 WHERE user_id = $1 AND NOT deactivated",
        vec![user_id.to_owned().into(), admin.into()],
    );
}

/// Closes an account for good: what it was let in by, and what was kept for it, is gone; with
/// `erase` also what it kept here itself. Its rooms are to be left. Refuses the batch if there is no
/// such account.
pub fn deactivate(batch: &mut Batch, user_id: &str, erase: bool) {
    batch.must(
        "UPDATE account SET deactivated = TRUE, erased = $2, password_hash = NULL, admin = FALSE
         WHERE user_id = $1 AND NOT deactivated",
        vec![user_id.to_owned().into(), erase.into()],
    );
    for sql in [
        "INSERT INTO departing (user_id) VALUES ($1) ON CONFLICT (user_id) DO NOTHING",
        "DELETE FROM profile WHERE user_id = $1",
        "DELETE FROM profile_word WHERE user_id = $1",
        "DELETE FROM filter WHERE user_id = $1",
        "DELETE FROM presence WHERE user_id = $1",
        "DELETE FROM threepid WHERE user_id = $1",
        "DELETE FROM threepid_binding WHERE user_id = $1",
    ] {
        batch.run(sql, vec![user_id.to_owned().into()]);
    }
    if erase {
        batch.run("DELETE FROM account_data WHERE user_id = $1", vec![user_id.to_owned().into()]);
    }
}

/// Deactivated users who have yet to leave their rooms.
pub async fn departing(db: &Db) -> Result<Vec<String>> {
    let rows = db.rows::<(String,)>("SELECT user_id FROM departing ORDER BY user_id", &[]).await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// Notes that a deactivated user has left all rooms.
pub fn departed(batch: &mut Batch, user_id: &str) {
    batch.run("DELETE FROM departing WHERE user_id = $1", vec![user_id.to_owned().into()]);
}

/// Whether the user asked that what it sent be hidden from those who come later.
pub async fn is_erased(db: &Db, user_id: &str) -> Result<bool> {
    let row =
        db.row::<(i64,)>("SELECT 1 FROM account WHERE user_id = $1 AND erased", &[user_id.into()]).await?;
    Ok(row.is_some())
}

/// Those of these users whose accounts were erased.
pub async fn erased(db: &Db, user_ids: &[String]) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT user_id FROM account WHERE user_id = ANY($1) AND erased",
            &[user_ids.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

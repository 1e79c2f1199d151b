//! Accounts: who has one, and in which condition it is.

use crate::{Batch, Db, Result};

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

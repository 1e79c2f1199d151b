//! Registration tokens: whoever has one may make an account.

use crate::{Batch, Db, Result};

/// Makes a registration token. Refuses the batch if it is there already.
pub fn create(batch: &mut Batch, token: &str, uses_allowed: Option<i64>, expires_ts: Option<i64>) {
    batch.must(
        "INSERT INTO registration_token (token, uses_allowed, completed, expires_ts) VALUES ($1, $2, 0, $3)
         ON CONFLICT (token) DO NOTHING",
        vec![token.to_owned().into(), uses_allowed.into(), expires_ts.into()],
    );
}

/// Whether somebody could make an account with `token` now.
pub async fn is_valid(db: &Db, token: &str, now_ms: i64) -> Result<bool> {
    let row = db
        .row::<(i64,)>(
            "SELECT 1 FROM registration_token WHERE token = $1
         AND (uses_allowed IS NULL OR completed < uses_allowed) AND (expires_ts IS NULL OR expires_ts > $2)",
            &[token.into(), now_ms.into()],
        )
        .await?;
    Ok(row.is_some())
}

/// Counts an account that is made with `token`. Refuses the batch if it is not good any more.
pub fn count(batch: &mut Batch, token: &str, now_ms: i64) {
    batch.must(
        "UPDATE registration_token SET completed = completed + 1 WHERE token = $1
         AND (uses_allowed IS NULL OR completed < uses_allowed) AND (expires_ts IS NULL OR expires_ts > $2)",
        vec![token.to_owned().into(), now_ms.into()],
    );
}

//! Accounts at other services, and whose they are here.

use crate::{Batch, Db, Result};

/// Whose account here the account `subject` of `provider` is.
pub async fn user(db: &Db, provider: &str, subject: &str) -> Result<Option<String>> {
    let row = db
        .row(
            "SELECT user_id FROM external_id WHERE provider = $1 AND subject = $2",
            &[provider.into(), subject.into()],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Whether a user has an account at another service.
pub async fn has_any(db: &Db, user_id: &str) -> Result<bool> {
    let row: Option<(i64,)> =
        db.row("SELECT 1 FROM external_id WHERE user_id = $1 LIMIT 1", &[user_id.into()]).await?;
    Ok(row.is_some())
}

/// Notes that the account `subject` of `provider` belongs to a user. Refuses the batch if it belongs to
/// somebody already.
pub fn link(batch: &mut Batch, provider: &str, subject: &str, user_id: &str) {
    batch.must(
        "INSERT INTO external_id (provider, subject, user_id) VALUES ($1, $2, $3)
         ON CONFLICT (provider, subject) DO NOTHING",
        vec![provider.to_owned().into(), subject.to_owned().into(), user_id.to_owned().into()],
    );
}

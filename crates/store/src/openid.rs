//! OpenID tokens: by them a service learns which user it talks to. Kept as hashes.

use crate::{Batch, Db, Result};

/// Keeps a token, and of the user's others the `others_max` that live longest.
pub fn add(batch: &mut Batch, token_hash: &[u8; 32], user_id: &str, expires_ts: i64, others_max: i64) {
    batch.run(
        "DELETE FROM openid_token WHERE token_hash IN (
            SELECT token_hash FROM openid_token WHERE user_id = $1
            ORDER BY expires_ts DESC, token_hash LIMIT 1000 OFFSET $2)",
        vec![user_id.to_owned().into(), others_max.into()],
    );
    batch.run(
        "INSERT INTO openid_token (token_hash, user_id, expires_ts) VALUES ($1, $2, $3)",
        vec![(*token_hash).into(), user_id.to_owned().into(), expires_ts.into()],
    );
}

/// Whose token it is, if it has not expired and the account is in use.
pub async fn user(db: &Db, token_hash: &[u8; 32], now_ms: i64) -> Result<Option<String>> {
    let row = db
        .row::<(String,)>(
            "SELECT t.user_id FROM openid_token t JOIN account a ON a.user_id = t.user_id
             WHERE t.token_hash = $1 AND t.expires_ts > $2 AND NOT a.deactivated AND NOT a.locked",
            &[token_hash.into(), now_ms.into()],
        )
        .await?;
    Ok(row.map(|(user_id,)| user_id))
}

/// Forgets tokens that expired before `before_ms`.
pub fn sweep(batch: &mut Batch, before_ms: i64) {
    batch.run("DELETE FROM openid_token WHERE expires_ts < $1", vec![before_ms.into()]);
}

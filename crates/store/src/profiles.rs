//! Profiles: what users of this server tell about themselves, field by field.

use crate::{Batch, Db, Result};

/// All fields of a profile, in the order of their names, with their values as JSON.
pub async fn get(db: &Db, user_id: &str) -> Result<Vec<(String, String)>> {
    db.rows("SELECT field, value FROM profile WHERE user_id = $1 ORDER BY field", &[user_id.into()]).await
}

/// One field of a profile, as JSON.
pub async fn field(db: &Db, user_id: &str, field: &str) -> Result<Option<String>> {
    let sql = "SELECT value FROM profile WHERE user_id = $1 AND field = $2";
    let row = db.row::<(String,)>(sql, &[user_id.into(), field.into()]).await?;
    Ok(row.map(|(value,)| value))
}

/// Whether there is an account with this user id that is in use: only those have a profile.
pub async fn exists(db: &Db, user_id: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM account WHERE user_id = $1 AND NOT deactivated";
    Ok(db.row::<(i64,)>(sql, &[user_id.into()]).await?.is_some())
}

/// Sets a field to `value` (JSON). Refuses the batch if the names and values of the profile would
/// then have more than `bytes_max` bytes; each field counts [`FIELD_BYTES`] on top.
pub fn set(batch: &mut Batch, user_id: &str, field: &str, value: &str, bytes_max: i64) {
    let own_bytes = i64::try_from(field.len() + value.len()).unwrap_or(i64::MAX).saturating_add(FIELD_BYTES);
    batch.must(
        "INSERT INTO profile (user_id, field, value)
         SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT)
         WHERE COALESCE((SELECT SUM(octet_length(field) + octet_length(value) + 4) FROM profile
            WHERE user_id = $1 AND field <> $2), 0) <= $4
         ON CONFLICT (user_id, field) DO UPDATE SET value = $3",
        vec![
            user_id.to_owned().into(),
            field.to_owned().into(),
            value.to_owned().into(),
            bytes_max.saturating_sub(own_bytes).into(),
        ],
    );
}

/// Quotation marks, colon and comma around a field.
pub const FIELD_BYTES: i64 = 4;

/// Takes a field out of a profile, if it is there.
pub fn remove(batch: &mut Batch, user_id: &str, field: &str) {
    batch.run(
        "DELETE FROM profile WHERE user_id = $1 AND field = $2",
        vec![user_id.to_owned().into(), field.to_owned().into()],
    );
}

//! Filters that clients upload, to name them later by an id.

use crate::{Batch, Db, Result};

/// Keeps a filter unless it is there already. Refuses the batch if the user would have more than
/// `filters_max`.
pub fn put(batch: &mut Batch, user_id: &str, filter_id: i64, json: &str, filters_max: i64) {
    batch.must(
        "INSERT INTO filter (user_id, filter_id, json)
         SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS TEXT)
         WHERE (SELECT COUNT(*) FROM filter WHERE user_id = $1 AND filter_id <> $2) < $4
         ON CONFLICT (user_id, filter_id) DO UPDATE SET json = $3",
        vec![user_id.to_owned().into(), filter_id.into(), json.to_owned().into(), filters_max.into()],
    );
}

/// The filter with this id, as JSON.
pub async fn get(db: &Db, user_id: &str, filter_id: i64) -> Result<Option<String>> {
    let row = db
        .row::<(String,)>(
            "SELECT json FROM filter WHERE user_id = $1 AND filter_id = $2",
            &[user_id.into(), filter_id.into()],
        )
        .await?;
    Ok(row.map(|(json,)| json))
}

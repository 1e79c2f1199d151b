//! The rooms that users are joined to, by key: read from the index `membership_joined` alone.

use crate::{Db, Result};

/// The statement of [`joined`]: its plan is tested.
pub const JOINED: &str =
    "SELECT room FROM membership WHERE user_id = $1 AND membership = 'join' ORDER BY room LIMIT $2";

/// The statement of [`joined_among`]: its plan is tested.
pub const JOINED_AMONG: &str =
    "SELECT room FROM membership WHERE user_id = $1 AND membership = 'join' AND room = ANY($2) ORDER BY room";

/// The rooms that `user_id` is joined to, in the order of their keys, at most `limit`.
pub async fn joined(db: &Db, user_id: &str, limit: i64) -> Result<Vec<i64>> {
    let rows = db.rows::<(i64,)>(JOINED, &[user_id.into(), limit.into()]).await?;
    Ok(rows.into_iter().map(|(room,)| room).collect())
}

/// Those of `rooms` that `user_id` is joined to, in the order of their keys.
pub async fn joined_among(db: &Db, user_id: &str, rooms: &[i64]) -> Result<Vec<i64>> {
    let rows = db.rows::<(i64,)>(JOINED_AMONG, &[user_id.into(), rooms.into()]).await?;
    Ok(rows.into_iter().map(|(room,)| room).collect())
}

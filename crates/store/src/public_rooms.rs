//! The rooms that are listed in the directory, those with the most members first.

use crate::{
    Db, Result,
    database::{FromRow, Row},
};

/// A room as far as the directory must know it to describe it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The room's key.
    pub room: i64,
    /// The room id.
    pub room_id: String,
    /// The room version.
    pub version: String,
    /// How many members are joined.
    pub joined: i64,
    /// The forward extremities: event ids, separated by commas.
    pub head: String,
    /// The state after the head; nothing if the head is more than one event.
    pub state_root: Option<Vec<u8>>,
}

impl FromRow for Listed {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Listed {
            room: row.get(0)?,
            room_id: row.get(1)?,
            version: row.get(2)?,
            joined: row.get(3)?,
            head: row.get(4)?,
            state_root: row.get(5)?,
        })
    }
}

/// Listed rooms after the place `(joined, room)`, from many members to few, at most `limit`.
pub async fn after(db: &Db, (joined, room): (i64, i64), limit: i64) -> Result<Vec<Listed>> {
    db.rows(
        "SELECT r.room, r.room_id, r.version, r.joined, r.head, e.state_root
         FROM room r LEFT JOIN event e ON e.event_id = r.head
         WHERE r.public = TRUE AND (r.joined, r.room) < ($1, $2)
         ORDER BY r.joined DESC, r.room DESC LIMIT $3",
        &[joined.into(), room.into(), limit.into()],
    )
    .await
}

/// Listed rooms before the place `(joined, room)`, from few members to many, at most `limit`.
pub async fn before(db: &Db, (joined, room): (i64, i64), limit: i64) -> Result<Vec<Listed>> {
    db.rows(
        "SELECT r.room, r.room_id, r.version, r.joined, r.head, e.state_root
         FROM room r LEFT JOIN event e ON e.event_id = r.head
         WHERE r.public = TRUE AND (r.joined, r.room) > ($1, $2)
         ORDER BY r.joined, r.room LIMIT $3",
        &[joined.into(), room.into(), limit.into()],
    )
    .await
}

/// How many rooms are listed; counts no further than `limit`.
pub async fn count(db: &Db, limit: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM room WHERE public = TRUE LIMIT $1) AS listed";
    Ok(db.row::<(i64,)>(sql, &[limit.into()]).await?.map_or(0, |(count,)| count))
}

/// The room with this key, whether it is listed or not.
pub async fn get(db: &Db, room: i64) -> Result<Option<Listed>> {
    db.row(
        "SELECT r.room, r.room_id, r.version, r.joined, r.head, e.state_root
         FROM room r LEFT JOIN event e ON e.event_id = r.head WHERE r.room = $1",
        &[room.into()],
    )
    .await
}

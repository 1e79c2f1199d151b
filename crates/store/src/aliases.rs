//! Room aliases of this server: which room each leads to.

use crate::{
    Batch, Db, PosRef, Result, Value,
    database::{FromRow, Row},
};

/// Where an alias leads.
#[derive(Clone, Debug)]
pub struct Alias {
    /// The room's key.
    pub room: i64,
    /// The room id.
    pub room_id: String,
    /// Who made it.
    pub creator: String,
}

impl FromRow for Alias {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Alias { room: row.get(0)?, room_id: row.get(1)?, creator: row.get(2)? })
    }
}

/// Lets `alias` lead to a room. Refuses the batch if it leads somewhere already.
pub fn add(batch: &mut Batch, alias: &str, room: Value<'static>, creator: &str, now_ms: i64) {
    batch.must(
        "INSERT INTO alias (alias, room, creator, created_ts) VALUES ($1, $2, $3, $4)
         ON CONFLICT (alias) DO NOTHING",
        vec![alias.to_owned().into(), room, creator.to_owned().into(), now_ms.into()],
    );
}

/// Takes `alias` away from `room`. Refuses the batch if it does not lead there.
pub fn remove(batch: &mut Batch, alias: &str, room: i64) {
    batch
        .must("DELETE FROM alias WHERE alias = $1 AND room = $2", vec![alias.to_owned().into(), room.into()]);
}

/// Lets all the aliases of one room lead to another, which the same batch makes at the position `to`.
pub fn move_all(batch: &mut Batch, from: i64, to: PosRef) {
    batch.run("UPDATE alias SET room = $2 WHERE room = $1", vec![from.into(), to.into()]);
}

/// Where `alias` leads.
pub async fn get(db: &Db, alias: &str) -> Result<Option<Alias>> {
    db.row(
        "SELECT a.room, r.room_id, a.creator FROM alias a JOIN room r ON r.room = a.room WHERE a.alias = $1",
        &[alias.into()],
    )
    .await
}

/// The aliases that lead to `room`, in their own order, at most `limit`.
pub async fn of_room(db: &Db, room: i64, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT alias FROM alias WHERE room = $1 ORDER BY alias LIMIT $2",
            &[room.into(), limit.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(alias,)| alias).collect())
}

//! Rooms: which there are, where each stands, and the directory.

use crate::{Batch, Db, PosRef, Result, Value};

/// A room as it is stored.
#[derive(Clone, Debug)]
pub struct StoredRoom {
    /// The room's key: the position of its create event.
    pub room: i64,
    /// The room id.
    pub room_id: String,
    /// The room version.
    pub version: String,
    /// Whether it is listed in the directory.
    pub public: bool,
    /// The forward extremities: event ids, separated by commas.
    pub head: String,
    /// How many members are joined.
    pub joined: i64,
    /// How many are invited.
    pub invited: i64,
    /// The position of what happened in it last.
    pub last_pos: i64,
}

impl crate::database::FromRow for StoredRoom {
    fn from_row(row: &crate::database::Row<'_>) -> Result<Self> {
        Ok(StoredRoom {
            room: row.get(0)?,
            room_id: row.get(1)?,
            version: row.get(2)?,
            public: row.get(3)?,
            head: row.get(4)?,
            joined: row.get(5)?,
            invited: row.get(6)?,
            last_pos: row.get(7)?,
        })
    }
}

/// Makes a room whose key is the position `pos`. Refuses the batch if the id is taken.
pub fn create(batch: &mut Batch, pos: PosRef, room_id: &str, version: &str, public: bool) {
    batch.must(
        "INSERT INTO room (room, room_id, version, public, head, joined, invited, last_pos)
         VALUES ($1, $2, $3, $4, '', 0, 0, $1) ON CONFLICT (room_id) DO NOTHING",
        vec![pos.into(), room_id.to_owned().into(), version.to_owned().into(), public.into()],
    );
}

/// Moves a room's head from `old` to `new`, and its counts of members by so many. Refuses the batch
/// if the head is not `old`: somebody else was faster.
pub fn advance(
    batch: &mut Batch,
    room: Value<'static>,
    (old, new): (&str, &str),
    (joined, invited): (i64, i64),
    last_pos: PosRef,
) {
    let (old, new) = (old.to_owned().into(), new.to_owned().into());
    if (joined, invited) == (0, 0) {
        // Naming the counts would write the index of public rooms with every message.
        let sql = "UPDATE room SET head = $3, last_pos = $4 WHERE room = $1 AND head = $2";
        batch.must(sql, vec![room, old, new, last_pos.into()]);
        return;
    }
    batch.must(
        "UPDATE room SET head = $3, joined = joined + $4, invited = invited + $5, last_pos = $6
         WHERE room = $1 AND head = $2",
        vec![room, old, new, joined.into(), invited.into(), last_pos.into()],
    );
}

/// Notes that something happened in a room that is not an event: a receipt, for example.
pub fn touch(batch: &mut Batch, room: i64, pos: PosRef) {
    batch.run("UPDATE room SET last_pos = $2 WHERE room = $1", vec![room.into(), pos.into()]);
}

/// Lists a room in the directory, or takes it off.
pub fn set_public(batch: &mut Batch, room: Value<'static>, public: bool) {
    batch.run("UPDATE room SET public = $2 WHERE room = $1", vec![room, public.into()]);
}

/// The room with this id.
pub async fn by_id(db: &Db, room_id: &str) -> Result<Option<StoredRoom>> {
    db.row(
        "SELECT room, room_id, version, public, head, joined, invited, last_pos FROM room WHERE room_id = $1",
        &[room_id.into()],
    )
    .await
}

/// The room with this key.
pub async fn by_key(db: &Db, room: i64) -> Result<Option<StoredRoom>> {
    db.row(
        "SELECT room, room_id, version, public, head, joined, invited, last_pos FROM room WHERE room = $1",
        &[room.into()],
    )
    .await
}

/// The ids of the rooms with these keys, in the order of the keys.
pub async fn ids(db: &Db, rooms: &[i64]) -> Result<Vec<String>> {
    let sql = "SELECT room_id FROM room WHERE room = ANY($1) ORDER BY room";
    let rows = db.rows::<(String,)>(sql, &[rooms.into()]).await?;
    Ok(rows.into_iter().map(|(room_id,)| room_id).collect())
}

/// The rooms of `user_id`, in whatever way, in which something happened after `since`.
pub async fn changed(db: &Db, user_id: &str, since: i64) -> Result<Vec<i64>> {
    let rows = db
        .rows::<(i64,)>(
            "SELECT room.room FROM membership JOIN room ON room.room = membership.room
             WHERE membership.user_id = $1 AND room.last_pos > $2",
            &[user_id.into(), since.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(room,)| room).collect())
}

//! Members: where every user stands in every room, by the room's current state.

use crate::{
    Batch, Db, PosRef, Result, Value,
    database::{FromRow, Row},
};

/// Where a user stands in a room.
#[derive(Clone, Debug)]
pub struct Member {
    /// The user.
    pub user_id: String,
    /// The room's key.
    pub room: i64,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: String,
    /// The position of the member event.
    pub pos: i64,
    /// The member event.
    pub event_id: String,
    /// Who sent it.
    pub sender: String,
    /// `displayname` of the member event.
    pub display_name: Option<String>,
    /// `avatar_url` of the member event.
    pub avatar_url: Option<String>,
    /// Whether the user, having left, forgot the room.
    pub forgotten: bool,
    /// Where the user's last stay in the room ended: the position of the event that did it. Means
    /// nothing while the user is joined.
    pub joined_upto: Option<i64>,
}

impl FromRow for Member {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Member {
            user_id: row.get(0)?,
            room: row.get(1)?,
            membership: row.get(2)?,
            pos: row.get(3)?,
            event_id: row.get(4)?,
            sender: row.get(5)?,
            display_name: row.get(6)?,
            avatar_url: row.get(7)?,
            forgotten: row.get(8)?,
            joined_upto: row.get(9)?,
        })
    }
}

/// A membership to be stored.
#[derive(Clone, Debug)]
pub struct NewMember<'a> {
    /// The user.
    pub user_id: &'a str,
    /// The room's key, or where the writer will put it.
    pub room: Value<'static>,
    /// `join`, `invite`, `knock`, `leave` or `ban`.
    pub membership: &'a str,
    /// The member event.
    pub event_id: &'a str,
    /// Who sent it.
    pub sender: &'a str,
    /// `displayname` of the member event.
    pub display_name: Option<&'a str>,
    /// `avatar_url` of the member event.
    pub avatar_url: Option<&'a str>,
}

/// Notes where a user stands since the event at `pos`.
pub fn set(batch: &mut Batch, pos: PosRef, member: NewMember<'_>) {
    batch.run(
        "INSERT INTO membership (user_id, room, membership, pos, event_id, sender, display_name, avatar_url,
            forgotten)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, FALSE)
         ON CONFLICT (user_id, room) DO UPDATE SET membership = $3, pos = $4, event_id = $5, sender = $6,
            display_name = $7, avatar_url = $8, forgotten = FALSE,
            joined_upto = CASE WHEN membership.membership = 'join' THEN $4 ELSE membership.joined_upto END",
        vec![
            member.user_id.to_owned().into(),
            member.room,
            member.membership.to_owned().into(),
            pos.into(),
            member.event_id.to_owned().into(),
            member.sender.to_owned().into(),
            member.display_name.map(str::to_owned).into(),
            member.avatar_url.map(str::to_owned).into(),
        ],
    );
}

/// Takes away the names that a redacted member event gave.
pub fn unname(batch: &mut Batch, room: Value<'static>, event_id: &str) {
    batch.run(
        "UPDATE membership SET display_name = NULL, avatar_url = NULL
         WHERE room = $1 AND event_id = $2
            AND user_id = (SELECT state_key FROM event WHERE event_id = $2)",
        vec![room, event_id.to_owned().into()],
    );
}

/// Forgets a room for a user who left it. Refuses the batch if the user did not leave.
pub fn forget(batch: &mut Batch, user_id: &str, room: i64) {
    batch.must(
        "UPDATE membership SET forgotten = TRUE
         WHERE user_id = $1 AND room = $2 AND (membership = 'leave' OR membership = 'ban')",
        vec![user_id.to_owned().into(), room.into()],
    );
}

/// Where `user_id` stands in `room`, if it ever was mentioned there.
pub async fn get(db: &Db, user_id: &str, room: i64) -> Result<Option<Member>> {
    db.row(
        "SELECT user_id, room, membership, pos, event_id, sender, display_name, avatar_url, forgotten,
            joined_upto
         FROM membership WHERE user_id = $1 AND room = $2",
        &[user_id.into(), room.into()],
    )
    .await
}

/// All the rooms in which `user_id` was ever mentioned, by the rooms' keys.
pub async fn of_user(db: &Db, user_id: &str) -> Result<Vec<Member>> {
    db.rows(
        "SELECT user_id, room, membership, pos, event_id, sender, display_name, avatar_url, forgotten,
            joined_upto
         FROM membership WHERE user_id = $1 ORDER BY room",
        &[user_id.into()],
    )
    .await
}

/// The members of `room` with this membership.
pub async fn of_room(db: &Db, room: i64, membership: &str) -> Result<Vec<Member>> {
    db.rows(
        "SELECT user_id, room, membership, pos, event_id, sender, display_name, avatar_url, forgotten,
            joined_upto
         FROM membership WHERE room = $1 AND membership = $2",
        &[room.into(), membership.into()],
    )
    .await
}

/// The users in `room` with this membership, their ids only.
pub async fn users(db: &Db, room: i64, membership: &str) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT user_id FROM membership WHERE room = $1 AND membership = $2",
            &[room.into(), membership.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// The joined members of `room`, with their names and pictures.
pub async fn joined(db: &Db, room: i64) -> Result<Vec<(String, Option<String>, Option<String>)>> {
    db.rows(
        "SELECT user_id, display_name, avatar_url FROM membership WHERE room = $1 AND membership = 'join'",
        &[room.into()],
    )
    .await
}

/// The ids of the rooms that `user_id` is joined to, oldest first.
pub async fn joined_rooms(db: &Db, user_id: &str) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT r.room_id FROM membership m JOIN room r ON r.room = m.room
             WHERE m.user_id = $1 AND m.membership = 'join' ORDER BY m.room",
            &[user_id.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(room_id,)| room_id).collect())
}

/// The guests who are joined to `room`, at most `limit`.
pub async fn guests(db: &Db, room: i64, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT m.user_id FROM membership m JOIN account a ON a.user_id = m.user_id
             WHERE m.room = $1 AND m.membership = 'join' AND a.kind = 'guest' LIMIT $2",
            &[room.into(), limit.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// The first users of `room` with this membership, in the order of their member events, without
/// `except`; at most `limit`.
pub async fn first(db: &Db, room: i64, membership: &str, except: &str, limit: i64) -> Result<Vec<String>> {
    let rows = db
        .rows::<(String,)>(
            "SELECT user_id FROM membership WHERE room = $1 AND membership = $2 AND user_id <> $3
             ORDER BY pos LIMIT $4",
            &[room.into(), membership.into(), except.into(), limit.into()],
        )
        .await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

//! Account data: what clients keep for their user, of the account and of each room.

use crate::{
    Batch, Db, PosRef, Result, Value,
    database::{FromRow, Row},
};

/// The room of account data that belongs to the account itself.
pub const GLOBAL: i64 = 0;

/// One piece of account data.
#[derive(Clone, Debug)]
pub struct AccountData {
    /// The room's key, or [`GLOBAL`].
    pub room: i64,
    /// Its type.
    pub data_type: String,
    /// A JSON object.
    pub content: String,
    /// When it was set.
    pub pos: i64,
}

impl FromRow for AccountData {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(AccountData { room: row.get(0)?, data_type: row.get(1)?, content: row.get(2)?, pos: row.get(3)? })
    }
}

/// Sets a piece of account data at the position `pos`. `content` is a JSON object.
pub fn put(
    batch: &mut Batch,
    pos: PosRef,
    user_id: &str,
    room: impl Into<Value<'static>>,
    data_type: &str,
    content: String,
) {
    batch.run(
        "INSERT INTO account_data (user_id, room, data_type, content, pos) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, room, data_type) DO UPDATE SET content = $4, pos = $5",
        vec![user_id.to_owned().into(), room.into(), data_type.to_owned().into(), content.into(), pos.into()],
    );
}

/// Sets a piece of account data at the position `pos`. Refuses the batch if it is not what it was before.
pub fn replace(
    batch: &mut Batch,
    pos: PosRef,
    (user_id, room, data_type): (&str, i64, &str),
    before: Option<String>,
    after: String,
) {
    let (user_id, data_type) = (user_id.to_owned(), data_type.to_owned());
    match before {
        Some(before) => batch.must(
            "UPDATE account_data SET content = $5, pos = $6
             WHERE user_id = $1 AND room = $2 AND data_type = $3 AND content = $4",
            vec![user_id.into(), room.into(), data_type.into(), before.into(), after.into(), pos.into()],
        ),
        None => batch.must(
            "INSERT INTO account_data (user_id, room, data_type, content, pos) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (user_id, room, data_type) DO NOTHING",
            vec![user_id.into(), room.into(), data_type.into(), after.into(), pos.into()],
        ),
    }
}

/// The content of a piece of account data.
pub async fn get(db: &Db, user_id: &str, room: i64, data_type: &str) -> Result<Option<String>> {
    let row = db
        .row::<(String,)>(
            "SELECT content FROM account_data WHERE user_id = $1 AND room = $2 AND data_type = $3",
            &[user_id.into(), room.into(), data_type.into()],
        )
        .await?;
    Ok(row.map(|(content,)| content))
}

/// The account data of `user_id` of these types.
pub async fn of_types(db: &Db, user_id: &str, room: i64, types: &[String]) -> Result<Vec<AccountData>> {
    db.rows(
        "SELECT room, data_type, content, pos FROM account_data
         WHERE user_id = $1 AND room = $2 AND data_type = ANY($3)",
        &[user_id.into(), room.into(), types.into()],
    )
    .await
}

/// The account data of `user_id` that was set after `since`, in the order of setting.
pub async fn after(db: &Db, user_id: &str, since: i64) -> Result<Vec<AccountData>> {
    db.rows(
        "SELECT room, data_type, content, pos FROM account_data
         WHERE user_id = $1 AND pos > $2 ORDER BY pos",
        &[user_id.into(), since.into()],
    )
    .await
}

/// The account data of `user_id` in one room.
pub async fn of_room(db: &Db, user_id: &str, room: i64) -> Result<Vec<AccountData>> {
    db.rows(
        "SELECT room, data_type, content, pos FROM account_data
         WHERE user_id = $1 AND room = $2 ORDER BY pos",
        &[user_id.into(), room.into()],
    )
    .await
}

/// How many pieces of account data `user_id` has.
pub async fn count(db: &Db, user_id: &str) -> Result<i64> {
    let row =
        db.row::<(i64,)>("SELECT COUNT(*) FROM account_data WHERE user_id = $1", &[user_id.into()]).await?;
    Ok(row.map_or(0, |(count,)| count))
}

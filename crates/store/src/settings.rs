//! What the server as a whole remembers about itself, as pairs of texts.

use crate::database::{Batch, Db, Error, Result};

/// The setting that holds the server name.
const SERVER_NAME: &str = "server_name";

/// Bytes of the largest event.
const EVENT_BYTES_MAX: usize = 65_536;

/// The value of the setting `key`.
pub async fn get(db: &Db, key: &str) -> Result<Option<String>> {
    let row = db.row("SELECT value FROM setting WHERE key = $1", &[key.into()]).await?;
    Ok(row.map(|(value,)| value))
}

/// Gives the setting `key` the value `value`.
pub async fn put(db: &Db, key: &str, value: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO setting (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        vec![key.to_owned().into(), value.to_owned().into()],
    );
    db.commit(batch).await?;
    Ok(())
}

/// Writes as much as the largest event has, which matters to nobody: whether writing works.
pub async fn touch(db: &Db) -> Result<()> {
    // What is the same already would not be written.
    let [here, back] = ["h", "b"].map(|letter| letter.repeat(EVENT_BYTES_MAX));
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO setting (key, value) VALUES ('touched', $1)
         ON CONFLICT (key) DO UPDATE
            SET value = CASE WHEN setting.value = $1 THEN $2 ELSE $1 END",
        vec![here.into(), back.into()],
    );
    db.commit(batch).await.map(drop)
}

/// Gives the setting `key` the value `value` unless it has one, and answers what it holds then.
/// Of several servers that start at once on a new database, all get the same answer.
pub async fn put_if_missing(db: &Db, key: &str, value: &str) -> Result<String> {
    if let Some(kept) = get(db, key).await? {
        return Ok(kept);
    }
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        vec![key.to_owned().into(), value.to_owned().into()],
    );
    db.commit(batch).await?;
    let kept = get(db, key).await?;
    kept.ok_or_else(|| Error::Broken(format!("setting {key} was not kept")))
}

/// Binds the database to the server `name` at the first start.
///
/// A server name is part of every user id, event and signature, so it can never change. Fails with
/// [`Error::Unfit`] if the database belongs to another name.
pub async fn claim_server_name(db: &Db, name: &str) -> Result<()> {
    let owner = put_if_missing(db, SERVER_NAME, name).await?;
    if owner == name {
        return Ok(());
    }
    Err(Error::Unfit(format!(
        "this database belongs to the server {owner}, but server_name is {name}: \
         a server name cannot change; set server_name back or use another database"
    )))
}

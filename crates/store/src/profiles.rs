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
    if field == DISPLAYNAME {
        let name: String = serde_json::from_str(value).unwrap_or_default();
        set_words(batch, user_id, &name);
    }
}

/// The field that people are searched by.
const DISPLAYNAME: &str = "displayname";

/// Words of a display name that are kept, and characters of each.
const WORDS_MAX: usize = 16;
const WORD_CHARS_MAX: usize = 64;

/// The words of a display name, or of what is searched for, as they are kept.
pub fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(WORDS_MAX).map(|word| word.chars().take(WORD_CHARS_MAX).collect()).collect()
}

fn set_words(batch: &mut Batch, user_id: &str, name: &str) {
    batch.run("DELETE FROM profile_word WHERE user_id = $1", vec![user_id.to_owned().into()]);
    for word in words(name) {
        batch.run(
            "INSERT INTO profile_word (word, user_id) VALUES ($1, $2) ON CONFLICT (word, user_id) DO NOTHING",
            vec![word.into(), user_id.to_owned().into()],
        );
    }
}

/// Users in use, no guests, whose display name has a word that begins with `prefix`; at most `limit`.
pub async fn with_word(db: &Db, prefix: &str, limit: i64) -> Result<Vec<String>> {
    users(
        db,
        "SELECT a.user_id FROM profile_word w JOIN account a ON a.user_id = w.user_id
         WHERE w.word >= $1 AND w.word < $2 AND NOT a.deactivated AND a.kind <> 'guest'
         ORDER BY w.word, w.user_id LIMIT $3",
        (prefix, limit),
    )
    .await
}

/// Users in use, no guests, whose user id begins with `prefix`; at most `limit`.
pub async fn with_id(db: &Db, prefix: &str, limit: i64) -> Result<Vec<String>> {
    users(
        db,
        "SELECT user_id FROM account
         WHERE user_id >= $1 AND user_id < $2 AND NOT deactivated AND kind <> 'guest'
         ORDER BY user_id LIMIT $3",
        (prefix, limit),
    )
    .await
}

async fn users(db: &Db, sql: &'static str, (prefix, limit): (&str, i64)) -> Result<Vec<String>> {
    // Nothing that begins with `prefix` comes after `prefix` and the last of all characters.
    let end = format!("{prefix}\u{10ffff}");
    let rows = db.rows::<(String,)>(sql, &[prefix.into(), end.into(), limit.into()]).await?;
    Ok(rows.into_iter().map(|(user_id,)| user_id).collect())
}

/// Quotation marks, colon and comma around a field.
pub const FIELD_BYTES: i64 = 4;

/// Takes a field out of a profile, if it is there.
pub fn remove(batch: &mut Batch, user_id: &str, field: &str) {
    batch.run(
        "DELETE FROM profile WHERE user_id = $1 AND field = $2",
        vec![user_id.to_owned().into(), field.to_owned().into()],
    );
    if field == DISPLAYNAME {
        set_words(batch, user_id, "");
    }
}

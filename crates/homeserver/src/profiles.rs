//! Profiles: what users of this server tell about themselves.
//!
//! The name and the picture also stand in the member events of all rooms that the user is joined to;
//! they follow before a change is answered.

use futures_util::{StreamExt, stream};
use rules::canonical;
use ruma::{CanonicalJsonObject, CanonicalJsonValue, MxcUri, OwnedUserId, UserId};
use serde_json::{Map, Value, value::RawValue};
use store::{Batch, profiles as stored};

use crate::{
    Home, presence,
    refusal::{Answer, Refusal},
    rooms::{
        self, Chain, Intent,
        chain::{ATTEMPTS_MAX, Failed},
    },
    who::{Device, Kind},
};

/// Bytes of a whole profile; the specification says that it must have fewer.
const PROFILE_BYTES_MAX: i64 = 64 * 1024 - 3;

/// Bytes of the name of a field.
const FIELD_NAME_BYTES_MAX: usize = 255;

/// Bytes of a display name: it stands in every member event.
const DISPLAYNAME_BYTES_MAX: usize = 1_024;

/// Bytes of the address of a picture, for the same reason.
const AVATAR_URL_BYTES_MAX: usize = 1_024;

/// Bytes of a time zone; the longest name has 32.
const TIME_ZONE_BYTES_MAX: usize = 255;

/// How deep a field may be nested.
const DEPTH_MAX: usize = 64;

/// Rooms into which a change goes at a time.
const ROOMS_AT_ONCE: usize = 16;

/// The display name.
pub const DISPLAYNAME: &str = "displayname";
/// The picture.
pub const AVATAR_URL: &str = "avatar_url";

fn not_found() -> Refusal {
    Refusal::not_found("This server knows no such user or field")
}

/// The whole profile of a user of this server, as a JSON object.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such account.
pub async fn get(home: &Home, user: &UserId) -> Answer<Map<String, Value>> {
    if !stored::exists(&home.db, user.as_str()).await? {
        return Err(not_found());
    }
    let fields = stored::get(&home.db, user.as_str()).await?;
    let read = |(field, value): (String, String)| {
        let damaged = |error| Refusal::broken(format!("the profile of {user} is stored damaged: {error}"));
        serde_json::from_str(&value).map(|value| (field, value)).map_err(damaged)
    };
    fields.into_iter().map(read).collect()
}

/// One field of a profile.
///
/// # Errors
/// `M_NOT_FOUND` if there is no such account, or the profile has no such field.
pub async fn field(home: &Home, user: &UserId, field: &str) -> Answer<Value> {
    get(home, user).await?.remove(field).ok_or_else(not_found)
}

/// Sets a field of one's own profile. An empty display name or picture is as good as none.
///
/// # Errors
/// `M_FORBIDDEN` for the profile of another, `M_INVALID_PARAM`, `M_KEY_TOO_LARGE`,
/// `M_PROFILE_TOO_LARGE`, `M_BAD_JSON`.
pub async fn set(home: &Home, who: &Device, user: &UserId, field: &str, value: &RawValue) -> Answer<()> {
    may_change(home, who, user, field).await?;
    let value = checked(field, value)?;
    if is_in_rooms(field) && value == "\"\"" {
        return remove(home, who, user, field).await;
    }
    let mut batch = Batch::new();
    stored::set(&mut batch, user.as_str(), field, &value, PROFILE_BYTES_MAX);
    match home.db.commit(batch).await {
        Ok(_) => {}
        Err(store::Error::Refused { .. }) => {
            return Err(Refusal::new(400, "M_PROFILE_TOO_LARGE", "A profile has less than 64 KiB"));
        }
        Err(error) => return Err(error.into()),
    }
    changed(home, user, field).await
}

/// Takes a field out of one's own profile.
///
/// # Errors
/// As [`set`].
pub async fn remove(home: &Home, who: &Device, user: &UserId, field: &str) -> Answer<()> {
    may_change(home, who, user, field).await?;
    let mut batch = Batch::new();
    stored::remove(&mut batch, user.as_str(), field);
    home.db.commit(batch).await?;
    changed(home, user, field).await
}

fn is_in_rooms(field: &str) -> bool {
    matches!(field, DISPLAYNAME | AVATAR_URL)
}

async fn may_change(home: &Home, who: &Device, user: &UserId, field: &str) -> Answer<()> {
    who.may_act()?;
    check_name(field)?;
    if who.user_id != user && !who.admin {
        return Err(Refusal::forbidden("The profile belongs to somebody else"));
    }
    if who.kind == Kind::Guest && field != DISPLAYNAME {
        return Err(Refusal::guest_access_forbidden("Guests have a display name, and nothing else"));
    }
    if who.user_id != user && !stored::exists(&home.db, user.as_str()).await? {
        return Err(not_found());
    }
    Ok(())
}

/// A name of the specification, or one with a namespace
/// (<https://spec.matrix.org/v1.19/appendices/#common-namespaced-identifier-grammar>).
fn check_name(field: &str) -> Answer<()> {
    if field.len() > FIELD_NAME_BYTES_MAX {
        let message = format!("The name of a field has at most {FIELD_NAME_BYTES_MAX} bytes");
        return Err(Refusal::new(400, "M_KEY_TOO_LARGE", message));
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let namespaced = field.starts_with(|letter: char| letter.is_ascii_lowercase())
        && field.bytes().all(plain)
        && field.split('.').count() > 1
        && field.split('.').all(|part| !part.is_empty());
    if namespaced || is_in_rooms(field) {
        return Ok(());
    }
    Err(Refusal::invalid_param(
        "A field is displayname, avatar_url, m.tz or has a namespace: com.example.field",
    ))
}

/// The value as it is kept.
fn checked(field: &str, value: &RawValue) -> Answer<String> {
    let read: Value =
        serde_json::from_str(value.get()).map_err(|error| Refusal::bad_json(error.to_string()))?;
    if depth(&read) > DEPTH_MAX {
        return Err(Refusal::bad_json(format!("A field is nested at most {DEPTH_MAX} levels deep")));
    }
    let bytes_max = match field {
        DISPLAYNAME => DISPLAYNAME_BYTES_MAX,
        AVATAR_URL => AVATAR_URL_BYTES_MAX,
        "m.tz" => TIME_ZONE_BYTES_MAX,
        _ => return Ok(read.to_string()),
    };
    let text = read.as_str().ok_or_else(|| Refusal::bad_json(format!("`{field}` is a string")))?;
    if text.len() > bytes_max {
        return Err(Refusal::invalid_param(format!("`{field}` has at most {bytes_max} bytes")));
    }
    if text.contains('\0') {
        return Err(Refusal::invalid_param(format!("`{field}` must not contain U+0000")));
    }
    if field == AVATAR_URL && !text.is_empty() && <&MxcUri>::from(text).validate().is_err() {
        return Err(Refusal::invalid_param("`avatar_url` is the mxc:// address of an uploaded picture"));
    }
    Ok(read.to_string())
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(entries) => 1 + entries.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Carries a change to whoever sees `user`, and into the rooms. Goes on if whoever asked hangs up.
async fn changed(home: &Home, user: &UserId, field: &str) -> Answer<()> {
    if !is_in_rooms(field) {
        return Ok(());
    }
    presence::renamed(home, user).await?;
    let (home, user) = (home.clone(), user.to_owned());
    let carried = tokio::spawn(async move { carry(&home, &user).await });
    carried
        .await
        .map_err(|error| Refusal::broken(format!("a profile was not carried into rooms: {error}")))?
}

/// Brings the member events of `user` up to date with the profile. A room that does not take one is
/// left alone, and logged.
///
/// # Errors
/// If the database does not answer: then whoever asked must ask again.
async fn carry(home: &Home, user: &OwnedUserId) -> Answer<()> {
    let rooms = store::mutual_rooms::joined(&home.db, user.as_str(), i64::MAX).await?;
    let rooms = stream::iter(rooms).map(|room| async move { (room, renew(home, user, room).await) });
    let mut rooms = rooms.buffer_unordered(ROOMS_AT_ONCE);
    while let Some((room, renewed)) = rooms.next().await {
        if let Err(refusal) = renewed {
            if refusal.is_outage {
                return Err(refusal);
            }
            tracing::warn!(room, %refusal, "a member event does not follow the profile");
        }
    }
    Ok(())
}

/// Writes a member event with the profile of now. The profile is read under the lock of the room, so
/// that of two changes at the same time the later one stays.
async fn renew(home: &Home, user: &UserId, room: i64) -> Answer<()> {
    let room = rooms::find_by_key(home, room).await?;
    for _ in 0..ATTEMPTS_MAX {
        let mut chain = Chain::on(home, &room).await?;
        let Some(before) = chain.state("m.room.member", user.as_str()).await? else { return Ok(()) };
        let mut content: CanonicalJsonObject = before.content_as()?;
        if content.get("membership").and_then(CanonicalJsonValue::as_str) != Some("join") {
            return Ok(());
        }
        // These told how the user came in.
        content.remove("reason");
        content.remove("join_authorised_via_users_server");
        content.remove(DISPLAYNAME);
        content.remove(AVATAR_URL);
        for (field, value) in stored::get(&home.db, user.as_str()).await? {
            if is_in_rooms(&field) {
                content.insert(field, canonical::canonical_value(value.as_bytes())?);
            }
        }
        chain.push(Intent::state(user, "m.room.member", user.as_str(), content)).await?;
        match chain.commit().await {
            Ok(_) => return Ok(()),
            Err(Failed::Overtaken) => {}
            Err(Failed::Broken(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Overtaken.into())
}

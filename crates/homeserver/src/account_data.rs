//! Account data: what clients keep for their user, of the account and of each room.
//!
//! Spec: client-server API, «Client config», «Room tagging».

use ruma::{RoomId, UserId};
use serde_json::{Map, Value};
use store::{Batch, account_data as stored};

use crate::{
    Home, push,
    refusal::{Answer, Refusal},
    rooms, settings,
    who::Device,
};

/// Bytes of one piece of account data.
const CONTENT_BYTES_MAX: usize = 256 * 1024;

/// Bytes of the type of account data.
const TYPE_BYTES_MAX: usize = 255;

/// Pieces of account data that a user may have.
const PIECES_MAX: i64 = 20_000;

/// Tags of one room.
const TAGS_MAX: usize = 100;

/// Bytes of what is said of a tag.
const TAG_CONTENT_BYTES_MAX: usize = 1_024;

/// Bytes of the name of a tag.
const TAG_BYTES_MAX: usize = 255;

/// How often a change of tags is tried anew because another came between.
const ATTEMPTS_MAX: usize = 8;

/// Where the tags of a room are kept.
const TAG_TYPE: &str = "m.tag";

/// Which rooms are direct chats, and with whom.
pub(crate) const DIRECT_TYPE: &str = "m.direct";

/// Types that the server itself writes.
const OWN_TYPES: [&str; 2] = ["m.fully_read", push::ACCOUNT_DATA_TYPE];

/// Of what the account data is.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// The account itself.
    Account,
    /// A room.
    Room(&'a RoomId),
}

async fn key(home: &Home, of: Of<'_>) -> Answer<i64> {
    match of {
        Of::Account => Ok(stored::GLOBAL),
        Of::Room(room_id) => Ok(rooms::find(home, room_id).await?.key),
    }
}

/// Account data is nobody else's business.
fn own(who: &Device, user: &UserId) -> Answer<()> {
    if user == who.user() {
        return Ok(());
    }
    Err(Refusal::forbidden("You have only your own account data"))
}

/// Sets a piece of account data of `user`, who must be who asks. `json` is what the client sent.
///
/// # Errors
/// `M_FORBIDDEN`, `M_NOT_JSON`, `M_BAD_JSON` (405 for what the server writes itself), `M_TOO_LARGE`,
/// `M_NOT_FOUND` if there is no such room.
pub async fn set(
    home: &Home,
    who: &Device,
    user: &UserId,
    of: Of<'_>,
    data_type: &str,
    json: &[u8],
) -> Answer<()> {
    own(who, user)?;
    if OWN_TYPES.contains(&data_type) {
        let message = format!("{data_type} has endpoints of its own");
        return Err(Refusal::new(405, "M_BAD_JSON", message));
    }
    if data_type.len() > TYPE_BYTES_MAX {
        return Err(Refusal::invalid_param(format!("A type has at most {TYPE_BYTES_MAX} bytes")));
    }
    if json.len() > CONTENT_BYTES_MAX {
        return Err(Refusal::too_large(format!("Account data has at most {CONTENT_BYTES_MAX} bytes")));
    }
    let content = object(json)?;
    let room = key(home, of).await?;
    if stored::count(&home.db, user.as_str()).await? >= PIECES_MAX
        && stored::get(&home.db, user.as_str(), room, data_type).await?.is_none()
    {
        return Err(Refusal::unknown(format!("A user has at most {PIECES_MAX} pieces of account data")));
    }
    let mut batch = Batch::new();
    let pos = batch.pos();
    stored::put(&mut batch, pos, user.as_str(), room, data_type, content);
    told(home, &mut batch, pos, user);
    if data_type == settings::IGNORED_TYPE {
        push::judged_anew(home, &mut batch, pos, user);
    }
    home.db.commit(batch).await?;
    Ok(())
}

/// Reads the content, which may be any JSON object: it never becomes an event.
fn object(json: &[u8]) -> Answer<String> {
    match serde_json::from_slice(json) {
        Ok(content @ Value::Object(_)) => Ok(content.to_string()),
        Ok(_) => Err(Refusal::bad_json("Account data is a JSON object")),
        Err(error) => Err(Refusal::not_json(format!("The request body is not JSON: {error}"))),
    }
}

/// Lets the syncs of `user` know of account data that the batch sets at `pos`.
pub fn told(home: &Home, batch: &mut Batch, pos: store::PosRef, user: &UserId) {
    let (home_then, user_then) = (home.clone(), user.to_owned());
    batch.then(move |at| {
        home_then.lately_account_data.note(&*user_then, at.at(pos));
        home_then.settings.changed(&user_then);
    });
    let (home, user) = (home.clone(), user.to_owned());
    batch.once_published(move |_| home.bell.ring_soon(None, vec![user]));
}

/// The content of m.direct with the room `new` wherever it names `old`; `None` if that changes nothing.
pub(crate) fn direct_too(content: &str, old: &RoomId, new: &RoomId) -> Option<String> {
    let mut content: Map<String, Value> = serde_json::from_str(content).ok()?;
    let mut changed = false;
    for rooms in content.values_mut().filter_map(Value::as_array_mut) {
        if rooms.iter().any(|room| *room == old.as_str()) && !rooms.iter().any(|room| *room == new.as_str()) {
            rooms.push(new.as_str().into());
            changed = true;
        }
    }
    let content = Value::Object(content).to_string();
    (changed && content.len() <= CONTENT_BYTES_MAX).then_some(content)
}

/// The content of a piece of account data of `user`, who must be who asks.
///
/// # Errors
/// `M_FORBIDDEN`, `M_NOT_FOUND`
pub async fn get(home: &Home, who: &Device, user: &UserId, of: Of<'_>, data_type: &str) -> Answer<String> {
    own(who, user)?;
    let room = key(home, of).await?;
    if let Some(content) = stored::get(&home.db, user.as_str(), room, data_type).await? {
        return Ok(content);
    }
    if matches!(of, Of::Account) && data_type == push::ACCOUNT_DATA_TYPE {
        let rules = push::rules(home, user).await?;
        return Ok(serde_json::json!({ "global": push::global(&rules) }).to_string());
    }
    Err(Refusal::not_found("There is no such account data"))
}

/// The tags that `user`, who must be who asks, gave a room: an object by name.
///
/// # Errors
/// `M_FORBIDDEN`, `M_NOT_FOUND` if there is no such room.
pub async fn tags(home: &Home, who: &Device, user: &UserId, room_id: &RoomId) -> Answer<Map<String, Value>> {
    own(who, user)?;
    let room = key(home, Of::Room(room_id)).await?;
    let content = stored::get(&home.db, user.as_str(), room, TAG_TYPE).await?;
    Ok(tags_in(content.as_deref()))
}

fn tags_in(content: Option<&str>) -> Map<String, Value> {
    let content: Option<Value> = content.and_then(|content| serde_json::from_str(content).ok());
    match content.and_then(|mut content| content.get_mut("tags").map(Value::take)) {
        Some(Value::Object(tags)) => tags,
        _ => Map::new(),
    }
}

/// Gives a room a tag, or takes it away if there is no `content`.
///
/// # Errors
/// `M_FORBIDDEN`, `M_INVALID_PARAM` if the name is too long or there are too many tags, `M_BAD_JSON` if
/// `order` is not between 0 and 1, `M_NOT_FOUND` if there is no such room.
pub async fn set_tag(
    home: &Home,
    who: &Device,
    user: &UserId,
    room_id: &RoomId,
    tag: &str,
    content: Option<Map<String, Value>>,
) -> Answer<()> {
    own(who, user)?;
    if tag.is_empty() || tag.len() > TAG_BYTES_MAX {
        return Err(Refusal::invalid_param(format!("A tag has 1 to {TAG_BYTES_MAX} bytes")));
    }
    if let Some(order) = content.as_ref().and_then(|content| content.get("order"))
        && !order.as_f64().is_some_and(|order| (0.0..=1.0).contains(&order))
    {
        return Err(Refusal::bad_json("`order` must be a number between 0 and 1"));
    }
    let said = content.clone().map_or(0, |content| Value::Object(content).to_string().len());
    if said > TAG_CONTENT_BYTES_MAX {
        return Err(Refusal::too_large(format!("Of a tag is said at most {TAG_CONTENT_BYTES_MAX} bytes")));
    }
    let room = key(home, Of::Room(room_id)).await?;
    for _ in 0..ATTEMPTS_MAX {
        let before = stored::get(&home.db, user.as_str(), room, TAG_TYPE).await?;
        let mut tags = tags_in(before.as_deref());
        match &content {
            Some(content) => drop(tags.insert(tag.to_owned(), Value::Object(content.clone()))),
            None if tags.remove(tag).is_none() => return Ok(()),
            None => {}
        }
        if tags.len() > TAGS_MAX {
            return Err(Refusal::invalid_param(format!("A room has at most {TAGS_MAX} tags")));
        }
        let after = serde_json::json!({ "tags": tags }).to_string();
        let mut batch = Batch::new();
        let pos = batch.pos();
        stored::replace(&mut batch, pos, (user.as_str(), room, TAG_TYPE), before, after);
        told(home, &mut batch, pos, user);
        match home.db.commit(batch).await {
            Ok(_) => return Ok(()),
            Err(store::Error::Refused { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::unavailable("The tags change too often; try again in a moment"))
}

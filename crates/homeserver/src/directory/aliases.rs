//! Room aliases of this server.

use rules::canonical;
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, UserId,
};
use serde_json::json;
use store::{Batch, aliases::Alias};

use super::{has_power, is_joined};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{self, Intent, Room, state, visibility},
    who::Device,
};

/// Aliases that a room may have here.
const ALIASES_MAX: i64 = 500;

/// The state event that names the aliases of a room.
const CANONICAL_ALIAS: &str = "m.room.canonical_alias";

/// The state event in which a server of 2015 named all that lead to a room; its key is the server.
pub const ALIASES: &str = "m.room.aliases";

/// Refuses what can not be an alias of this server.
///
/// # Errors
/// `M_INVALID_PARAM`
pub fn check(home: &Home, alias: &RoomAliasId) -> Answer<()> {
    if alias.server_name() != home.server_name() {
        return Err(Refusal::invalid_param(format!("Aliases of this server end in :{}", home.server_name())));
    }
    let localpart = alias.alias();
    if localpart.is_empty()
        || localpart.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    {
        return Err(Refusal::invalid_param("An alias has a name, without white space"));
    }
    Ok(())
}

/// Lets `alias` lead to a room in which `who` is.
///
/// # Errors
/// 409 `M_UNKNOWN` if it leads somewhere already, `M_INVALID_PARAM`, `M_FORBIDDEN`.
pub async fn add(home: &Home, who: &Device, alias: &RoomAliasId, room_id: &RoomId) -> Answer<()> {
    who.may_act()?;
    check(home, alias)?;
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    if !viewer.is_joined() && !who.admin {
        return Err(Refusal::forbidden("Only who is in the room can give it an alias"));
    }
    if store::aliases::of_room(&home.db, room.key, ALIASES_MAX).await?.len() as u64
        >= ALIASES_MAX.unsigned_abs()
    {
        return Err(Refusal::forbidden(format!("A room has at most {ALIASES_MAX} aliases here")));
    }
    let mut batch = Batch::new();
    let now_ms = home.clock.now_ms();
    store::aliases::add(&mut batch, alias.as_str(), room.key.into(), who.user_id.as_str(), now_ms);
    match home.db.commit(batch).await {
        Ok(_) => Ok(()),
        Err(store::Error::Refused { .. }) => {
            Err(Refusal::new(409, "M_UNKNOWN", format!("The alias {alias} is taken")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn find(home: &Home, alias: &RoomAliasId) -> Answer<Alias> {
    let found = store::aliases::get(&home.db, alias.as_str()).await?;
    found.ok_or_else(|| Refusal::not_found(format!("There is no room with the alias {alias}")))
}

/// The room that `alias` leads to.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn resolve(home: &Home, alias: &RoomAliasId) -> Answer<OwnedRoomId> {
    let found = find(home, alias).await?;
    let damaged = |_| Refusal::broken(format!("the room {} is stored with a malformed id", found.room_id));
    RoomId::parse(&*found.room_id).map_err(damaged)
}

/// Takes `alias` away, and out of the room's `m.room.canonical_alias` if `who` may change that.
///
/// # Errors
/// `M_NOT_FOUND`; `M_FORBIDDEN` to all but who made it, who has the power to name the room's aliases, and
/// administrators.
pub async fn remove(home: &Home, who: &Device, alias: &RoomAliasId) -> Answer<()> {
    who.may_act()?;
    let found = find(home, alias).await?;
    let room = rooms::find_by_key(home, found.room).await?;
    let may = who.admin
        || found.creator == who.user_id.as_str()
        || (is_joined(home, &room, who.user()).await?
            && has_power(home, &room, who.user(), CANONICAL_ALIAS).await?);
    if !may {
        return Err(Refusal::forbidden("Only who made the alias or manages the room can take it away"));
    }
    let mut batch = Batch::new();
    store::aliases::remove(&mut batch, alias.as_str(), found.room);
    match home.db.commit(batch).await {
        Ok(_) => {}
        // Somebody else was faster.
        Err(store::Error::Refused { .. }) => return Err(Refusal::not_found("The alias is gone already")),
        Err(error) => return Err(error.into()),
    }
    // The alias is gone whatever becomes of this.
    if let Err(refusal) = unname(home, who.user(), &room, alias).await {
        tracing::debug!(room = room.key, %refusal, "the canonical alias stays");
    }
    Ok(())
}

/// Takes `alias` out of what the room names as its aliases.
async fn unname(home: &Home, user: &UserId, room: &std::sync::Arc<Room>, alias: &RoomAliasId) -> Answer<()> {
    let root = room.head(home).await?.root;
    let Some(named) = state::event(home, room, root, CANONICAL_ALIAS, "").await? else { return Ok(()) };
    let before: CanonicalJsonObject = named.content_as()?;
    let is_gone = |value: &CanonicalJsonValue| value.as_str() == Some(alias.as_str());
    let mut content = before.clone();
    if content.get("alias").is_some_and(is_gone) {
        content.remove("alias");
    }
    if let Some(CanonicalJsonValue::Array(others)) = content.get_mut("alt_aliases") {
        others.retain(|other| !is_gone(other));
    }
    if content == before {
        return Ok(());
    }
    rooms::append(home, room, Intent::state(user, CANONICAL_ALIAS, "", content)).await.map(drop)
}

/// Says in the room which aliases it has here, as every server did in 2015. Where `who` may not say so nobody
/// does.
///
/// # Errors
/// If the database does not answer.
pub async fn announce(home: &Home, who: &Device, room_id: &RoomId) -> Answer<()> {
    let room = rooms::find(home, room_id).await?;
    let aliases = store::aliases::of_room(&home.db, room.key, ALIASES_MAX).await?;
    let content = canonical::object_of(&json!({ "aliases": aliases }))?;
    let intent = Intent::state(who.user(), ALIASES, home.server_name().as_str(), content);
    match rooms::append(home, &room, intent).await {
        Err(refusal) if refusal.status >= 500 => Err(refusal),
        Err(refusal) => {
            tracing::debug!(room = room.key, %refusal, "the aliases are not announced");
            Ok(())
        }
        Ok(_) => Ok(()),
    }
}

/// The aliases of a room that `who` is in, or that everybody may read.
///
/// # Errors
/// `M_FORBIDDEN`
pub async fn of_room(home: &Home, who: &Device, room_id: &RoomId) -> Answer<Vec<OwnedRoomAliasId>> {
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    if !who.admin && viewer.reach(home, &room).await? != visibility::Reach::Now {
        return Err(Refusal::forbidden("You are not in this room"));
    }
    let aliases = store::aliases::of_room(&home.db, room.key, ALIASES_MAX).await?;
    Ok(aliases.into_iter().filter_map(|alias| RoomAliasId::parse(alias).ok()).collect())
}

//! What users have set for a room goes with them into the room that takes its place.
//!
//! Spec: client-server API, «Room Upgrades», «When a user joins the new room …»: tags, direct chats, push
//! rules, and what else clients keep for a room. It is written together with the join, so that a client
//! that hears of the room finds it as it knows it.

use ruma::{OwnedRoomId, RoomId, UserId};
use serde::Deserialize;
use store::{Batch, Value, account_data as stored};

use super::{Chain, Room, memory, state};
use crate::{Home, account_data, push, refusal::Answer};

/// Pieces of account data that are taken along.
const PIECES_MAX: usize = 100;

/// What says something of the events of the old room, and nothing of the new one.
const STAYS_BEHIND: [&str; 3] = ["m.fully_read", "m.marked_unread", "com.famedly.marked_unread"];

/// Adds to the chain in which `user` joins a room what the user had set for its predecessor, if it has
/// one. Should any of it change meanwhile, the chain is overtaken.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn bring_along(home: &Home, chain: &mut Chain, user: &UserId) -> Answer<()> {
    let Some(new) = chain.room().cloned() else { return Ok(()) };
    let Some(old) = predecessor(home, chain, &new).await? else { return Ok(()) };
    settings(home, chain.batch(), user, &old, (new.key.into(), &new.room_id)).await
}

/// The room in whose place `new` was put. Anybody may say so of a room; the old room must, too.
async fn predecessor(home: &Home, chain: &Chain, new: &Room) -> Answer<Option<std::sync::Arc<Room>>> {
    #[derive(Deserialize)]
    struct Create {
        predecessor: Option<Predecessor>,
    }
    #[derive(Deserialize)]
    struct Predecessor {
        room_id: OwnedRoomId,
    }
    #[derive(Deserialize)]
    struct Tombstone {
        replacement_room: OwnedRoomId,
    }
    let create = chain.state("m.room.create", "").await?;
    let create = create.and_then(|event| event.content_as::<Create>().ok());
    let Some(Predecessor { room_id }) = create.and_then(|create| create.predecessor) else { return Ok(None) };
    if room_id == new.room_id {
        return Ok(None);
    }
    let old = match memory::find(home, &room_id).await {
        Err(refusal) if refusal.status == 404 => return Ok(None),
        old => old?,
    };
    let root = super::timeline::root_at(home, &old, home.db.upto()).await?;
    let tombstone = state::event(home, &old, root, "m.room.tombstone", "").await?;
    let tombstone = tombstone.and_then(|event| event.content_as::<Tombstone>().ok());
    Ok(tombstone.filter(|tombstone| tombstone.replacement_room == new.room_id).map(|_| old))
}

/// Adds to `batch` what `user` had set for `old`, for the room `new`. What the user has set for the new
/// room already stays.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn settings(
    home: &Home,
    batch: &mut Batch,
    user: &UserId,
    old: &Room,
    (new_key, new): (Value<'static>, &RoomId),
) -> Answer<()> {
    let of_room = of_room(home, user, old, &new_key).await?;
    let direct = stored::get(&home.db, user.as_str(), stored::GLOBAL, account_data::DIRECT_TYPE).await?;
    let with_new = direct.as_deref().and_then(|direct| account_data::direct_too(direct, &old.room_id, new));
    let rules = stored::get(&home.db, user.as_str(), stored::GLOBAL, push::ACCOUNT_DATA_TYPE).await?;
    let rules_too = rules.as_deref().and_then(|rules| push::rules_too(user, rules, &old.room_id, new));
    if of_room.is_empty() && with_new.is_none() && rules_too.is_none() {
        return Ok(());
    }
    let pos = batch.pos();
    for (data_type, content) in of_room {
        stored::put(batch, pos, user.as_str(), new_key.clone(), &data_type, content);
    }
    if let Some(after) = with_new {
        let place = (user.as_str(), stored::GLOBAL, account_data::DIRECT_TYPE);
        stored::replace(batch, pos, place, direct, after);
    }
    let new_rules = rules_too.is_some();
    if let Some(after) = rules_too {
        stored::replace(batch, pos, (user.as_str(), stored::GLOBAL, push::ACCOUNT_DATA_TYPE), rules, after);
    }
    account_data::told(home, batch, pos, user);
    if new_rules {
        push::judged_anew(home, batch, pos, user);
    }
    Ok(())
}

/// The types and contents of what `user` keeps for `old` and not for the new room.
async fn of_room(
    home: &Home,
    user: &UserId,
    old: &Room,
    new_key: &Value<'static>,
) -> Answer<Vec<(String, String)>> {
    let known = match new_key {
        Value::Int(new) => stored::of_room(&home.db, user.as_str(), *new).await?,
        // The room is about to begin.
        _ => Vec::new(),
    };
    let mut moved = stored::of_room(&home.db, user.as_str(), old.key).await?;
    moved.retain(|data| {
        let is_known = known.iter().any(|known| known.data_type == data.data_type);
        !is_known && !STAYS_BEHIND.contains(&&*data.data_type)
    });
    Ok(moved.into_iter().take(PIECES_MAX).map(|data| (data.data_type, data.content)).collect())
}

//! What may be told of a room to who is not in it (`GET /room_summary`, and the rooms of a space).

use std::sync::Arc;

use ruma::{RoomAliasId, RoomId, RoomOrAliasId, UserId};
use store::public_rooms::Listed;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::summary::{self, Summary},
};

/// A room as it shows itself to somebody.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The room, with its place in the store.
    pub listed: Listed,
    /// What it tells about itself.
    pub summary: Arc<Summary>,
    /// Where the user stands in it, for who has an account.
    pub membership: Option<String>,
}

/// The room that `room` means, as `user` may see it, who is nobody without an account.
///
/// # Errors
/// `M_NOT_FOUND` if there is none, or none that the user may know of.
pub async fn of(home: &Home, user: Option<&UserId>, room: &RoomOrAliasId) -> Answer<Preview> {
    let found = match <&RoomId>::try_from(room) {
        Ok(room_id) => by_id(home, user, room_id).await?,
        Err(alias) => by_alias(home, user, alias).await?,
    };
    found.ok_or_else(|| Refusal::not_found("This server knows of no such room that it could show you"))
}

/// The room with this id, if `user` may know of it.
///
/// # Errors
/// If the database does not answer.
pub async fn by_id(home: &Home, user: Option<&UserId>, room_id: &RoomId) -> Answer<Option<Preview>> {
    match store::rooms::by_id(&home.db, room_id.as_str()).await? {
        Some(room) => by_key(home, user, room.room).await,
        None => Ok(None),
    }
}

async fn by_alias(home: &Home, user: Option<&UserId>, alias: &RoomAliasId) -> Answer<Option<Preview>> {
    match store::aliases::get(&home.db, alias.as_str()).await? {
        Some(found) => by_key(home, user, found.room).await,
        None => Ok(None),
    }
}

async fn by_key(home: &Home, user: Option<&UserId>, room: i64) -> Answer<Option<Preview>> {
    let Some(listed) = store::public_rooms::get(&home.db, room).await? else { return Ok(None) };
    let summary = summary::of(home, &listed).await?;
    let membership = match user {
        Some(user) => {
            let member = store::members::get(&home.db, user.as_str(), room).await?;
            Some(member.map_or_else(|| "leave".to_owned(), |member| member.membership))
        }
        None => None,
    };
    let may = may_know(home, user, membership.as_deref(), &summary).await?;
    Ok(may.then_some(Preview { listed, summary, membership }))
}

/// Members, the invited, and all who could come in or read along.
async fn may_know(
    home: &Home,
    user: Option<&UserId>,
    membership: Option<&str>,
    summary: &Summary,
) -> Answer<bool> {
    match membership {
        Some("join" | "invite") => return Ok(true),
        Some("ban") => return Ok(summary.world_readable),
        _ if summary.is_open() => return Ok(true),
        _ => {}
    }
    let (Some(user), "restricted") = (user, &*summary.join_rule) else { return Ok(false) };
    for room_id in &summary.allowed_room_ids {
        let Some(room) = store::rooms::by_id(&home.db, room_id.as_str()).await? else { continue };
        let member = store::members::get(&home.db, user.as_str(), room.room).await?;
        if member.is_some_and(|member| member.membership == "join") {
            return Ok(true);
        }
    }
    Ok(false)
}

//! Finding rooms and people: aliases, the list of public rooms, rooms in common.

pub mod aliases;
pub mod mutual_rooms;
pub mod previews;
pub mod public_rooms;
pub mod spaces;
pub mod users;

use rules::power_levels::PowerLevels;
use ruma::UserId;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{Room, state},
};

/// Whether `user` may send state events of this type to `room`, by the power levels alone.
async fn has_power(home: &Home, room: &Room, user: &UserId, event_type: &str) -> Answer<bool> {
    let root = room.head(home).await?.root;
    let create = state::event(home, room, root, "m.room.create", "").await?;
    let create = create.ok_or_else(|| Refusal::broken(format!("{} has no create event", room.room_id)))?;
    let levels = state::event(home, room, root, "m.room.power_levels", "").await?;
    let levels = PowerLevels::of(&create, levels.as_deref(), room.rules)?;
    Ok(levels.user(user) >= levels.event(event_type, true).into())
}

/// Whether `user` is joined to `room`.
async fn is_joined(home: &Home, room: &Room, user: &UserId) -> Answer<bool> {
    let member = store::members::get(&home.db, user.as_str(), room.key).await?;
    Ok(member.is_some_and(|member| member.membership == "join"))
}

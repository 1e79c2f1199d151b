//! Presence as it was in 2015: events that say of whom they are, and lists of users to follow.
//!
//! The documents of 2015 let whoever is followed agree to it first, and say nowhere how. Here a user agrees
//! by being in a room with who follows: of all others the list says that they are offline, and no more.

use std::collections::HashSet;

use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};
use store::Batch;

use super::{CARRYING_MEMBERS_MAX, Presence, known, shares_room};
use crate::{
    Home, profiles,
    refusal::{Answer, Refusal},
    rooms::Room,
    who::Device,
};

/// Users on the list of one user.
const USERS_MAX: usize = 500;

/// The content of an `m.presence` event of 2015: presence, and under which name. Without `presence` the
/// user is shown as offline.
///
/// # Errors
/// If the database does not answer.
pub async fn content_2015(home: &Home, user: &UserId, presence: Option<&Presence>) -> Answer<Value> {
    let mut content = match presence {
        Some(known) => {
            let ago_ms = home.clock.now_ms().saturating_sub(known.last_active_ts).max(0);
            json!({ "presence": known.state.as_str(), "last_active_ago": ago_ms })
        }
        None => json!({ "presence": "offline" }),
    };
    content["user_id"] = user.as_str().into();
    if let Some(status_msg) = presence.and_then(|known| known.status_msg.as_deref()) {
        content["status_msg"] = status_msg.into();
    }
    for (field, value) in store::profiles::get(&home.db, user.as_str()).await? {
        if [profiles::DISPLAYNAME, profiles::AVATAR_URL].contains(&&*field)
            && let Ok(value @ Value::String(_)) = serde_json::from_str(&value)
        {
            content[field] = value;
        }
    }
    Ok(content)
}

/// An `m.presence` event of 2015; v2_alpha names its sender.
pub fn event_2015(sender: Option<&UserId>, content: Value) -> Value {
    let mut event = json!({ "type": "m.presence", "content": content });
    if let Some(sender) = sender {
        event["sender"] = sender.as_str().into();
    }
    event
}

/// An `m.presence` event for each member of `room` who was about since the server's start.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn in_room(home: &Home, room: &Room) -> Answer<Vec<Value>> {
    let members = room.with_joined_here(|joined| match joined.len() <= CARRYING_MEMBERS_MAX {
        true => joined.iter().cloned().collect::<Vec<_>>(),
        false => Vec::new(),
    });
    let mut events = Vec::new();
    for user in members {
        if let Some(known) = home.ephemera.presence(&user) {
            events.push(event_2015(None, content_2015(home, &user, Some(&known)).await?));
        }
    }
    Ok(events)
}

/// The presence of `user` as v1 tells it: `presence`, `last_active_ago`, `status_msg`.
///
/// # Errors
/// `M_NOT_FOUND` if who asks may not know of it, just as if there were no such user.
pub async fn status(home: &Home, who: &Device, user: &UserId) -> Answer<Value> {
    if user != who.user() && !shares_room(home, who.user(), user).await? {
        return Err(Refusal::not_found("There is no such user, or none whose presence you may know"));
    }
    let known = known(home, user).await?;
    let mut content = content_2015(home, user, known.as_ref()).await?;
    let status_msg = content["status_msg"].take();
    let mut status = json!({ "presence": content["presence"].take(), "status_msg": status_msg });
    if let Some(ago_ms) = content.get("last_active_ago") {
        status["last_active_ago"] = ago_ms.clone();
    }
    Ok(status)
}

/// `POST /_matrix/client/api/v1/presence/list/{userId}`: follows those in `invite`, and those in `drop` no
/// longer.
///
/// # Errors
/// `M_FORBIDDEN` for the list of another, `M_TOO_LARGE`.
pub async fn change(
    home: &Home,
    who: &Device,
    user: &UserId,
    invite: Vec<OwnedUserId>,
    drop: Vec<OwnedUserId>,
) -> Answer<()> {
    own(who, user)?;
    who.may_act()?;
    let before = store::presence::list(&home.db, user.as_str()).await?;
    let mut after: HashSet<&str> = before.iter().map(String::as_str).collect();
    after.extend(invite.iter().map(|user| user.as_str()));
    drop.iter().for_each(|user| _ = after.remove(user.as_str()));
    if after.len() > USERS_MAX || invite.len() + drop.len() > 2 * USERS_MAX {
        return Err(Refusal::too_large(format!("A presence list has at most {USERS_MAX} users")));
    }
    let mut batch = Batch::new();
    for other in invite {
        store::presence::follow(&mut batch, user.as_str(), other.as_str());
    }
    for other in drop {
        store::presence::unfollow(&mut batch, user.as_str(), other.as_str());
    }
    home.db.commit(batch).await?;
    Ok(())
}

/// `GET /_matrix/client/api/v1/presence/list/{userId}`: an `m.presence` event for each user on the list.
///
/// # Errors
/// `M_FORBIDDEN` for the list of another.
pub async fn list(home: &Home, who: &Device, user: &UserId) -> Answer<Vec<Value>> {
    own(who, user)?;
    let mut events = Vec::new();
    for other in store::presence::list(&home.db, user.as_str()).await? {
        let Ok(other) = <&UserId>::try_from(&*other) else { continue };
        let content = if other == user || shares_room(home, user, other).await? {
            content_2015(home, other, known(home, other).await?.as_ref()).await?
        } else {
            json!({ "presence": "offline", "user_id": other })
        };
        events.push(event_2015(None, content));
    }
    Ok(events)
}

fn own(who: &Device, user: &UserId) -> Answer<()> {
    if who.user() == user {
        return Ok(());
    }
    Err(Refusal::forbidden("You have only your own presence list"))
}

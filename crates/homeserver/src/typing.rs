//! Typing: who is writing a message right now. In memory only.

use std::time::Duration;

use ruma::{RoomId, UserId};
use tokio::time::sleep;

use crate::{
    Home, presence,
    refusal::{Answer, Refusal},
    rooms,
    who::Device,
};

/// How long somebody types at most without saying so again.
pub const TYPING_MAX: Duration = Duration::from_secs(120);

/// How long somebody types who does not say how long.
pub const TYPING_DEFAULT: Duration = Duration::from_secs(30);

/// How often it is looked whose time is over.
const LOOK: Duration = Duration::from_secs(1);

/// Notes that `user`, who must be who asks, types in `room_id` for so long, or not any more.
///
/// # Errors
/// `M_FORBIDDEN` for another user, or who is not joined.
pub async fn set(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    user: &UserId,
    typing: Option<Duration>,
) -> Answer<()> {
    if user != who.user() {
        return Err(Refusal::forbidden("You can not type for somebody else"));
    }
    let room = rooms::memberships::joined_room(home, user, room_id).await?;
    presence::acts(home, user);
    let until_ms = typing.map(|time| {
        let time_ms = i64::try_from(time.min(TYPING_MAX).as_millis()).unwrap_or(0);
        home.clock.now_ms().saturating_add(time_ms)
    });
    if home.ephemera.set_typing(room.key, user, until_ms) {
        home.bell.ring_soon(Some(room), Vec::new());
    }
    Ok(())
}

/// Lets those stop typing whose time is over. A background loop.
pub async fn expiring(home: &Home) {
    loop {
        sleep(LOOK).await;
        for key in home.ephemera.stop_typing(home.clock.now_ms()) {
            if let Ok(room) = rooms::find_by_key(home, key).await {
                home.bell.ring_soon(Some(room), Vec::new());
            }
        }
    }
}

//! Departing: users whose account was closed leave their rooms.
//!
//! That they must is written together with the deactivation, so a restart does not forget it; that
//! they do is work of the background, for it may be many rooms.

use std::time::Duration;

use ruma::{OwnedUserId, UserId};
use store::Batch;
use tokio::sync::Notify;

use crate::{
    Home,
    refusal::Answer,
    rooms::{self, Intent},
};

/// When it is tried again after the database did not answer, and another node's departures are seen.
const TRIED_EVERY: Duration = Duration::from_secs(60);

/// Wakes the loop.
#[derive(Default)]
pub(super) struct Departures(Notify);

impl Departures {
    /// Somebody departs.
    pub(super) fn begin(&self) {
        self.0.notify_one();
    }
}

/// Has users leave their rooms whose account was closed. A background loop: runs until the server
/// stops.
pub async fn keep_departing(home: &Home) {
    let mut stopping = home.stopping.subscribe();
    loop {
        if let Err(error) = depart(home).await {
            tracing::warn!(%error, "a deactivated user could not leave all rooms yet");
        }
        let woken = tokio::time::timeout(TRIED_EVERY, home.accounts.departures.0.notified());
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = woken => {}
        }
    }
}

async fn depart(home: &Home) -> Answer<()> {
    for user_id in store::accounts::departing(&home.db).await? {
        let Ok(user_id) = OwnedUserId::try_from(user_id) else { continue };
        leave_all(home, &user_id).await?;
        let mut batch = Batch::new();
        store::accounts::departed(&mut batch, user_id.as_str());
        home.db.commit(batch).await?;
    }
    Ok(())
}

async fn leave_all(home: &Home, user_id: &UserId) -> Answer<()> {
    for member in store::members::of_user(&home.db, user_id.as_str()).await? {
        if !matches!(&*member.membership, "join" | "invite" | "knock") {
            continue;
        }
        let room = rooms::find_by_key(home, member.room).await?;
        let membership = [("membership".to_owned(), "leave".to_owned().into())];
        let leave = Intent::state(user_id, "m.room.member", user_id.as_str(), membership.into());
        match rooms::append(home, &room, leave).await {
            Err(refusal) if refusal.status >= 500 => return Err(refusal),
            // Nothing makes the rules of a room let somebody go; the others must not wait for it.
            Err(refusal) => tracing::warn!(user = %user_id, room = member.room, %refusal, "can not leave"),
            Ok(_) => {}
        }
    }
    Ok(())
}

//! Where a user stood in a room lately: whether a client knows the room already.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use store::members::Member;

use super::look::Look;
use crate::{
    refusal::{Answer, Refusal},
    rooms::{Room, TimelineEvent, timeline},
};

/// Changes of one user's membership that are looked at. Who came and went more often between two syncs
/// is told everything anew.
const STEPS_MAX: usize = 32;

/// The user's member events since a position, and the one before it; newest first.
pub(super) struct Stays {
    events: Vec<Arc<TimelineEvent>>,
    since: i64,
}

impl Stays {
    /// Looks back from where `member` says that the user stands.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(super) async fn of(look: &Look, room: &Room, member: &Member, since: i64) -> Answer<Self> {
        let damaged = || Refusal::broken(format!("a membership in {} is damaged", room.room_id));
        let mut next: Option<OwnedEventId> = Some(EventId::parse(&*member.event_id).map_err(|_| damaged())?);
        let mut events: Vec<Arc<TimelineEvent>> = Vec::new();
        while let Some(event_id) = next.take().filter(|_| events.len() < STEPS_MAX) {
            let event = timeline::get(&look.home, room, &event_id).await?.ok_or_else(damaged)?;
            if event.pos > since {
                next = event.replaces.clone();
            }
            events.push(Arc::new(event));
        }
        Ok(Stays { events, since })
    }

    /// The event that made the user what it is now.
    pub(super) fn last(&self) -> Option<&Arc<TimelineEvent>> {
        self.events.first()
    }

    /// The member events after the position, newest first.
    pub(super) fn changes(&self) -> impl Iterator<Item = &Arc<TimelineEvent>> {
        self.events.iter().filter(|event| event.pos > self.since)
    }

    /// Whether the user was joined all the time from before the position up to `upto`, without it.
    pub(super) fn joined_all_the_time(&self, upto: i64) -> bool {
        let mut earlier = self.events.iter().filter(|event| event.pos < upto);
        let began_before = self.events.last().is_some_and(|event| event.pos <= self.since);
        began_before && earlier.all(|event| is_join(event))
    }
}

fn is_join(event: &TimelineEvent) -> bool {
    #[derive(Deserialize)]
    struct Content<'a> {
        membership: &'a str,
    }
    event.event.content_as::<Content<'_>>().is_ok_and(|content| content.membership == "join")
}

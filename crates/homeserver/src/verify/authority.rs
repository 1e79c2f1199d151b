//! Whether every event was allowed: by the events that it names for it, and these by the state before it.

use std::{collections::HashMap, sync::Arc};

use rules::{authorization, event::Event, state_tree::Root};
use ruma::{EventId, OwnedEventId, room_version_rules::RoomVersionRules};
use store::verify::WholeEvent;

use super::Verify;
use crate::{refusal::Answer, rooms::state as trees};

/// Events that authorise others and are kept in mind: the same few allow most of what happens in a room.
const KNOWN_MAX: usize = 256;

/// What is known of the events of a room that authorise others.
pub(super) struct Authority {
    room: i64,
    rules: &'static RoomVersionRules,
    known: HashMap<OwnedEventId, Authorising>,
}

/// An event that authorises others.
#[derive(Clone)]
struct Authorising {
    event: Arc<Event>,
    /// Whether something of what it said is gone.
    is_pruned: bool,
}

impl Authority {
    /// Nothing is known yet of the room with this key.
    pub(super) fn new(room: i64, rules: &'static RoomVersionRules) -> Self {
        Authority { room, rules, known: HashMap::new() }
    }

    /// Authorises `event` once more. `before` is the state before it, where that is known.
    pub(super) async fn check(
        &mut self,
        verify: &mut Verify<'_>,
        stored: &WholeEvent,
        event: &Event,
        before: Option<Root>,
    ) -> Answer<()> {
        // What was rejected stays so. A member event that was redacted has lost what allowed it.
        if stored.rejected || stored.redacted_by.is_some() && event.event_type() == "m.room.member" {
            return Ok(());
        }
        let mut named = Vec::with_capacity(event.auth_events().len() + 1);
        for event_id in event.auth_events() {
            named.extend(self.find(verify, event_id, stored.pos).await?);
        }
        let create = create_of(event, self.rules);
        if let Some(event_id) = &create {
            named.extend(self.find(verify, event_id, stored.pos).await?);
        }
        let fetch = |event_id: &EventId| {
            let found = named.iter().find(|named| named.event.event_id() == event_id);
            found.map(|found| found.event.clone())
        };
        let is_pruned = named.iter().any(|named| named.is_pruned);
        let judged = authorization::check_auth_events(event, self.rules, fetch).and_then(|()| {
            if is_pruned {
                return Ok(());
            }
            authorization::authorize(event, self.rules, |event_type, state_key| {
                let found = named.iter().find(|of| of.event.state_place() == Some((event_type, state_key)));
                found.map(|found| found.event.clone())
            })
        });
        if let Err(refused) = judged {
            verify.find(format!("{} is not allowed: {refused}", stored.event_id));
            return Ok(());
        }
        match before {
            Some(before) => self.compare(verify, event, before).await,
            None => Ok(()),
        }
    }

    /// Whether an event of this server names what the state before it had to say about it.
    async fn compare(&self, verify: &mut Verify<'_>, event: &Event, before: Root) -> Answer<()> {
        let is_ours = event.sender().server_name() == verify.home.server_name();
        let Ok(places) = authorization::selected_for(event, self.rules) else { return Ok(()) };
        for (event_type, state_key) in places.iter().filter(|_| is_ours) {
            let in_state = match trees::get(verify.home, before, event_type, state_key).await {
                // That it can not be read is found where the state after it is looked at.
                Err(refusal) if refusal.status == 500 => return Ok(()),
                in_state => in_state?,
            };
            if in_state.is_some_and(|in_state| !event.auth_events().contains(&in_state)) {
                let place = format!("({event_type}, {state_key:?})");
                verify.find(format!("{} does not name the {place} before it", event.event_id()));
            }
        }
        Ok(())
    }

    /// An event of the room before `pos`.
    async fn find(
        &mut self,
        verify: &Verify<'_>,
        event_id: &EventId,
        pos: i64,
    ) -> Answer<Option<Authorising>> {
        if let Some(known) = self.known.get(event_id) {
            return Ok(Some(known.clone()));
        }
        let stored = store::events::by_id(&verify.home.db, event_id.as_str()).await?;
        let Some(stored) = stored.filter(|stored| stored.room == self.room && stored.pos < pos) else {
            return Ok(None);
        };
        let is_pruned = stored.redacted_by.is_some();
        let Ok(event) = Event::parse(event_id.to_owned(), stored.json, self.rules) else { return Ok(None) };
        let event = Arc::new(event.with_rejected(stored.rejected));
        if self.known.len() == KNOWN_MAX {
            self.known.clear();
        }
        let known = Authorising { event, is_pruned };
        self.known.insert(event_id.to_owned(), known.clone());
        Ok(Some(known))
    }
}

/// The create event, where the room id names it and `auth_events` does not.
fn create_of(event: &Event, rules: &RoomVersionRules) -> Option<OwnedEventId> {
    if !rules.authorization.room_create_event_id_as_room_id || event.event_type() == "m.room.create" {
        return None;
    }
    EventId::parse(event.room_id().as_str().replacen('!', "$", 1)).ok()
}

//! A room to try events in, without signatures.

use std::{collections::BTreeMap, sync::Arc};

use rules::{Refused, authorization, canonical, event::Event, versions};
use ruma::{
    EventId, OwnedEventId, RoomVersionId, UserId, canonical_json::CanonicalJsonObject,
    room_version_rules::RoomVersionRules,
};
use serde_json::{Value, json};

pub(crate) const CREATOR: &str = "@creator:a";
pub(crate) const ALICE: &str = "@alice:a";
pub(crate) const BOB: &str = "@bob:b";

/// One state of one room.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) rules: &'static RoomVersionRules,
    pub(crate) room_id: String,
    pub(crate) state: BTreeMap<(String, String), Arc<Event>>,
    next: u64,
}

impl Scene {
    /// A room with its create event and its creator, nothing else.
    pub(crate) fn new(version: &RoomVersionId) -> Self {
        Self::created(version, json!({}))
    }

    /// As [`Scene::new`], with more in the content of the create event.
    pub(crate) fn created(version: &RoomVersionId, more: Value) -> Self {
        let rules = versions::rules(version).expect("a supported version");
        let mut content = json!({"room_version": version.as_str(), "creator": CREATOR});
        content.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let room_id = if rules.authorization.room_create_event_id_as_room_id {
            name(0).as_str().replacen('$', "!", 1)
        } else {
            "!room:a".to_owned()
        };
        let mut scene = Self { rules, room_id, state: BTreeMap::new(), next: 0 };
        let create = scene.event(CREATOR, "m.room.create", Some(""), content);
        scene.put(create);
        scene.with(CREATOR, "m.room.member", CREATOR, json!({"membership": "join"}))
    }

    /// Puts a state event into the room without asking the rules.
    pub(crate) fn with(mut self, sender: &str, event_type: &str, state_key: &str, content: Value) -> Self {
        let event = self.event(sender, event_type, Some(state_key), content);
        self.put(event);
        self
    }

    /// The user has this membership.
    pub(crate) fn member(self, user: &str, membership: &str) -> Self {
        self.with(user, "m.room.member", user, json!({"membership": membership}))
    }

    pub(crate) fn join_rule(self, rule: &str) -> Self {
        self.with(CREATOR, "m.room.join_rules", "", json!({"join_rule": rule}))
    }

    pub(crate) fn power_levels(self, content: Value) -> Self {
        self.with(CREATOR, "m.room.power_levels", "", content)
    }

    pub(crate) fn put(&mut self, event: Event) {
        let (kind, key) = event.state_place().expect("a state event");
        self.state.insert((kind.to_owned(), key.to_owned()), Arc::new(event));
    }

    /// An event on top of the room, with the auth events that its content calls for.
    pub(crate) fn event(
        &mut self,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
    ) -> Event {
        let auth_events = self.auth_events(sender, event_type, state_key, &content);
        let prev_events = if event_type == "m.room.create" { vec![] } else { vec![name(999)] };
        self.next += 1;
        self.pdu(&name(self.next - 1), sender, event_type, state_key, content, auth_events, prev_events)
    }

    fn auth_events(&self, sender: &str, kind: &str, key: Option<&str>, content: &Value) -> Vec<OwnedEventId> {
        let sender: &UserId = sender.try_into().expect("a user id");
        let content: CanonicalJsonObject = canonical::object_of(content).expect("canonical");
        let places = authorization::auth_types(kind, sender, key, &content, self.rules).unwrap_or_default();
        let ids = places.into_iter().filter_map(|(kind, key)| self.state.get(&(kind.to_owned(), key)));
        ids.map(|event| event.event_id().to_owned()).collect()
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn pdu(
        &self,
        id: &EventId,
        sender: &str,
        event_type: &str,
        state_key: Option<&str>,
        content: Value,
        auth_events: Vec<OwnedEventId>,
        prev_events: Vec<OwnedEventId>,
    ) -> Event {
        let mut pdu = json!({
            "auth_events": auth_events,
            "content": content,
            "depth": 1,
            "hashes": {"sha256": "x"},
            "origin_server_ts": 1,
            "prev_events": prev_events,
            "room_id": self.room_id,
            "sender": sender,
            "signatures": {},
            "type": event_type,
        });
        if let Some(state_key) = state_key {
            pdu["state_key"] = json!(state_key);
        }
        if event_type == "m.room.create" && self.rules.authorization.room_create_event_id_as_room_id {
            pdu.as_object_mut().expect("an object").remove("room_id");
        }
        Event::parse(id.to_owned(), pdu.to_string().into(), self.rules).expect("a PDU")
    }

    pub(crate) fn read(&self, kind: &str, key: &str) -> Option<Arc<Event>> {
        self.state.get(&(kind.to_owned(), key.to_owned())).cloned()
    }

    /// What the rules say to an event.
    pub(crate) fn judge(&self, event: &Event) -> Result<(), Refused> {
        authorization::authorize(event, self.rules, |kind, key| self.read(kind, key))
    }

    /// What the rules say to a state event with this content.
    pub(crate) fn tries(&self, sender: &str, kind: &str, key: &str, content: Value) -> Result<(), Refused> {
        let event = self.clone().event(sender, kind, Some(key), content);
        self.judge(&event)
    }

    /// What the rules say to a change of membership.
    pub(crate) fn moves(&self, sender: &str, target: &str, membership: &str) -> Result<(), Refused> {
        self.tries(sender, "m.room.member", target, json!({"membership": membership}))
    }

    /// What the rules say to a message.
    pub(crate) fn says(&self, sender: &str) -> Result<(), Refused> {
        let event = self.clone().event(sender, "m.room.message", None, json!({"body": "hello"}));
        self.judge(&event)
    }
}

/// The `number`th event id.
pub(crate) fn name(number: u64) -> OwnedEventId {
    EventId::parse(format!("${number:043}")).expect("an event id")
}

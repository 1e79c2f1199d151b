//! May this event happen in this state.
//!
//! Spec: rooms/v6 to v12, «Authorisation rules». Written out here rather than left to `ruma-state-res`, for three
//! reasons: people are told precisely why not; an event type is compared as its sender wrote it (ruma's enum
//! takes some unstable names for stable ones); and ruma refuses more than the rules do in some places (a
//! `m.federate` that is no boolean, a room without join rules, one malformed signature among good ones).
//! Tests hold both against the specification's table.

mod membership;
mod power;

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, RoomVersionId, UserId,
    events::room::member::MembershipState,
    room::JoinRuleKind,
    room_version_rules::{AuthorizationRules, RoomVersionRules},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    Refused,
    event::Event,
    power_levels::{Creators, Power, PowerLevels},
    versions,
};

/// The state events that authorise an event, as it is drafted: what its `auth_events` must name, where the
/// room has them. Pairs of type and state key, no pair twice.
///
/// Spec: server-server API, «Auth events selection».
///
/// # Errors
/// [`Refused::Authorization`] if a membership event lacks its state key or has no membership.
pub fn auth_types(
    event_type: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Result<Vec<(&'static str, String)>, Refused> {
    let text = |object: &CanonicalJsonObject, key: &str| {
        object.get(key).and_then(CanonicalJsonValue::as_str).map(str::to_owned)
    };
    let third_party_token = || {
        let signed = content.get("third_party_invite")?.as_object()?.get("signed")?.as_object()?;
        text(signed, "token")
    };
    select(Selection {
        event_type,
        sender,
        state_key,
        membership: text(content, "membership"),
        authorising_user: text(content, "join_authorised_via_users_server"),
        third_party_token: third_party_token(),
        rules: &rules.authorization,
    })
}

/// The rules that need no state: the form of a create event, and which events `auth_events` names.
///
/// `fetch` finds an event of this server by its id. Asked once, when an event arrives; an event that we built
/// from [`auth_types`] passes by construction.
///
/// # Errors
/// [`Refused::Authorization`] with the rule that failed.
pub fn check_auth_events(
    event: &Event,
    rules: &RoomVersionRules,
    fetch: impl Fn(&EventId) -> Option<Arc<Event>>,
) -> Result<(), Refused> {
    if event.event_type() == "m.room.create" {
        return check_create(event, rules);
    }
    let names_room = rules.authorization.room_create_event_id_as_room_id;
    if names_room {
        let create = event.room_id().as_str().replacen('!', "$", 1);
        let create = EventId::parse(create).ok().and_then(|id| fetch(&id));
        if !create.is_some_and(|create| create.event_type() == "m.room.create" && !create.rejected()) {
            return no("the room id is not that of an accepted m.room.create event");
        }
    }
    let allowed = selected_for(event, rules)?;
    let mut seen = BTreeSet::new();
    for id in event.auth_events() {
        let Some(auth_event) = fetch(id) else { return no(format!("auth event {id} is unknown")) };
        let Some((event_type, state_key)) = auth_event.state_place() else {
            return no(format!("auth event {id} is not a state event"));
        };
        if auth_event.room_id() != event.room_id() {
            return no(format!("auth event {id} is of another room"));
        }
        if !allowed.iter().any(|(kind, key)| *kind == event_type && key == state_key) {
            return no(format!("auth event {id} has nothing to say about this event"));
        }
        if auth_event.rejected() {
            return no(format!("auth event {id} was rejected"));
        }
        if !seen.insert((event_type.to_owned(), state_key.to_owned())) {
            return no(format!("auth event {id} is the second of its type and state key"));
        }
    }
    if !names_room && !seen.contains(&("m.room.create".to_owned(), String::new())) {
        return no("auth_events has no m.room.create event");
    }
    Ok(())
}

/// Whether `event` may happen in the room state that `state` reads by type and state key.
///
/// Asked with the state before the event; of an event from another server also with the state that its
/// `auth_events` make and with the room's current state. That a join is signed by the server of its
/// `join_authorised_via_users_server` is part of [`Event::verify`].
///
/// # Errors
/// [`Refused`] with the reason, fit for the person who sent it.
pub fn authorize(
    event: &Event,
    rules: &RoomVersionRules,
    state: impl Fn(&str, &str) -> Option<Arc<Event>>,
) -> Result<(), Refused> {
    if event.event_type() == "m.room.create" {
        return check_create(event, rules);
    }
    let Some(create) = state("m.room.create", "") else {
        return no("the room has no m.room.create event");
    };
    if !federates(&create)? && create.sender().server_name() != event.sender().server_name() {
        return no("this room does not federate");
    }
    let room = Room { event, rules, state: &state, create: &create };
    if event.event_type() == "m.room.member" {
        return membership::check(&room);
    }
    room.sender_must_be_joined()?;
    let power_levels = room.power_levels()?;
    if event.event_type() == "m.room.third_party_invite" {
        return room.sender_must_have(&power_levels, power_levels.invite(), || "invite".to_owned());
    }
    let needed = power_levels.event(event.event_type(), event.state_key().is_some());
    room.sender_must_have(&power_levels, needed, || format!("send {}", event.event_type()))?;
    if event.state_key().is_some_and(|key| key.starts_with('@') && key != event.sender().as_str()) {
        return no("a state key that is a user id belongs to that user");
    }
    if event.event_type() == "m.room.power_levels" {
        return power::check(&room, &power_levels);
    }
    Ok(())
}

/// Spec: rule 1, «If type is `m.room.create`».
fn check_create(event: &Event, rules: &RoomVersionRules) -> Result<(), Refused> {
    let content: Map<String, Value> = event.content_as()?;
    if !event.prev_events().is_empty() {
        return no("m.room.create is the first event of a room");
    }
    if rules.authorization.room_create_event_id_as_room_id {
        if event.names_room() {
            return no("m.room.create makes the room id and cannot have one");
        }
    } else if event.room_id().server_name() != Some(event.sender().server_name()) {
        return no("the room id is not of the creator's server");
    }
    if let Some(version) = content.get("room_version") {
        let version = version.as_str().and_then(|version| RoomVersionId::try_from(version).ok());
        if version.is_none_or(|version| versions::rules(&version).is_err()) {
            return no("the room version is not a recognised one");
        }
    }
    if !rules.authorization.use_room_create_sender && !content.contains_key("creator") {
        return no("m.room.create has no creator");
    }
    Creators::of(event, rules).map(|_| ())
}

/// Whether servers other than the creator's may take part. Only a plain `false` says no.
fn federates(create: &Event) -> Result<bool, Refused> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.federate")]
        federate: Option<Value>,
    }
    Ok(create.content_as::<Content>()?.federate != Some(Value::Bool(false)))
}

/// An event and the room that it wants to happen in.
struct Room<'a, F> {
    event: &'a Event,
    rules: &'a RoomVersionRules,
    state: &'a F,
    create: &'a Event,
}

impl<F: Fn(&str, &str) -> Option<Arc<Event>>> Room<'_, F> {
    fn membership(&self, user: &UserId) -> Result<MembershipState, Refused> {
        match (self.state)("m.room.member", user.as_str()) {
            Some(event) => membership_of(&event),
            None => Ok(MembershipState::Leave),
        }
    }

    fn power_levels(&self) -> Result<PowerLevels, Refused> {
        let event = (self.state)("m.room.power_levels", "");
        PowerLevels::of(self.create, event.as_deref(), self.rules)
    }

    /// The join rule; a room without one is for the invited.
    fn join_rule(&self) -> Result<JoinRuleKind, Refused> {
        #[derive(Deserialize)]
        struct Content {
            join_rule: JoinRuleKind,
        }
        match (self.state)("m.room.join_rules", "") {
            Some(event) => Ok(event.content_as::<Content>()?.join_rule),
            None => Ok(JoinRuleKind::Invite),
        }
    }

    fn sender_must_be_joined(&self) -> Result<(), Refused> {
        match self.membership(self.event.sender())? {
            MembershipState::Join => Ok(()),
            MembershipState::Ban => Err(Refused::Banned {
                user: self.event.sender().to_owned(),
                room_id: self.event.room_id().to_owned(),
            }),
            _ => Err(Refused::NotJoined {
                user: self.event.sender().to_owned(),
                room_id: self.event.room_id().to_owned(),
            }),
        }
    }

    fn sender_must_have(
        &self,
        power_levels: &PowerLevels,
        needed: i64,
        action: impl FnOnce() -> String,
    ) -> Result<(), Refused> {
        let has = power_levels.user(self.event.sender());
        if has >= Power::Level(needed) {
            return Ok(());
        }
        let user = self.event.sender().to_owned();
        Err(Refused::PowerLevelTooLow { user, action: action(), needed: needed.into(), has })
    }
}

/// The membership in an `m.room.member` event.
///
/// # Errors
/// [`Refused::BadJson`] if there is none.
pub fn membership_of(event: &Event) -> Result<MembershipState, Refused> {
    #[derive(Deserialize)]
    struct Content {
        membership: MembershipState,
    }
    Ok(event.content_as::<Content>()?.membership)
}

/// What [`auth_types`] looks at.
struct Selection<'a> {
    event_type: &'a str,
    sender: &'a UserId,
    state_key: Option<&'a str>,
    membership: Option<String>,
    authorising_user: Option<String>,
    third_party_token: Option<String>,
    rules: &'a AuthorizationRules,
}

fn select(of: Selection<'_>) -> Result<Vec<(&'static str, String)>, Refused> {
    if of.event_type == "m.room.create" {
        return Ok(Vec::new());
    }
    let mut types =
        vec![("m.room.power_levels", String::new()), ("m.room.member", of.sender.as_str().to_owned())];
    if !of.rules.room_create_event_id_as_room_id {
        types.push(("m.room.create", String::new()));
    }
    if of.event_type != "m.room.member" {
        return Ok(types);
    }
    let Some(target) = of.state_key else { return no("m.room.member has no state key") };
    let Some(membership) = of.membership.as_deref() else { return no("m.room.member has no membership") };
    types.push(("m.room.member", target.to_owned()));
    if matches!(membership, "join" | "invite" | "knock") {
        types.push(("m.room.join_rules", String::new()));
    }
    if membership == "invite"
        && let Some(token) = of.third_party_token
    {
        types.push(("m.room.third_party_invite", token));
    }
    if membership == "join"
        && of.rules.restricted_join_rule
        && let Some(user) = of.authorising_user
    {
        types.push(("m.room.member", user));
    }
    let mut seen = BTreeSet::new();
    types.retain(|place| seen.insert(place.clone()));
    Ok(types)
}

/// [`auth_types`] of an event that exists.
///
/// # Errors
/// As [`auth_types`].
pub fn selected_for(event: &Event, rules: &RoomVersionRules) -> Result<Vec<(&'static str, String)>, Refused> {
    let member = event.event_type() == "m.room.member";
    let content: Map<String, Value> = if member { event.content_as()? } else { Map::new() };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    select(Selection {
        event_type: event.event_type(),
        sender: event.sender(),
        state_key: event.state_key(),
        membership: text(content.get("membership")),
        authorising_user: text(content.get("join_authorised_via_users_server")),
        third_party_token: text(
            content.get("third_party_invite").and_then(|invite| invite.get("signed")?.get("token")),
        ),
        rules: &rules.authorization,
    })
}

fn no<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused::Authorization(reason.into()))
}

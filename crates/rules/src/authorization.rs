//! May this event happen in this state.
//!
//! Spec: rooms/v6 to v12, «Authorisation rules».

use std::sync::Arc;

use ruma::{
    CanonicalJsonObject, EventId, UserId,
    events::StateEventType,
    room_version_rules::RoomVersionRules,
    state_res::{auth_types_for_event, check_state_dependent_auth_rules, check_state_independent_auth_rules},
};
use serde_json::value::to_raw_value;

use crate::{Refused, event::Event};

/// The state events that authorise an event, as it is drafted: what its `auth_events` must name, where the
/// room has them.
///
/// # Errors
/// [`Refused::Authorization`] if a membership event lacks its state key or has no membership.
pub fn auth_types(
    event_type: &str,
    sender: &UserId,
    state_key: Option<&str>,
    content: &CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Result<Vec<(StateEventType, String)>, Refused> {
    let content = to_raw_value(content).map_err(|error| Refused::BadJson(error.to_string()))?;
    auth_types_for_event(&event_type.into(), sender, state_key, &content, &rules.authorization)
        .map_err(Refused::Authorization)
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
    check_state_independent_auth_rules(&rules.authorization, event, fetch).map_err(Refused::Authorization)
}

/// Whether `event` may happen in the room state that `state` reads.
///
/// Asked with the state before the event; of an event from another server also with the state that its
/// `auth_events` make and with the room's current state.
///
/// # Errors
/// [`Refused`] with the reason, fit for the person who sent it.
pub fn authorize(
    event: &Event,
    rules: &RoomVersionRules,
    state: impl Fn(&StateEventType, &str) -> Option<Arc<Event>>,
) -> Result<(), Refused> {
    check_state_dependent_auth_rules(&rules.authorization, event, state).map_err(Refused::Authorization)
}

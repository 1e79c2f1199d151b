//! Events as clients get them: what never changes of an event is written once, the rest is spliced in.
//!
//! Spec: client-server API, «Room event format». The bytes shared by all readers hang on the
//! [`TimelineEvent`]; for each reader only `unsigned` is made.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

pub use rules::format::Format;
use rules::{
    event::Event,
    event_fields::EventFields,
    format::{self, Unsigned},
};
use ruma::{DeviceId, EventId, OwnedEventId, events::room::member::MembershipState};

use super::{Room, TimelineEvent, Txn, aggregations, erased, state, stripped, timeline, visibility::Viewer};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// In which form somebody wants events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Form<'a> {
    /// The device that asks: it alone learns its transaction ids.
    pub device: Option<&'a DeviceId>,
    /// Whether events say in which room they are; in `/sync` they do not.
    pub with_room_id: bool,
    /// In which of its forms the client wants an event.
    pub format: Format,
    /// Whether to tell of the events that point to each (bundled aggregations); in `/sync` only where a
    /// timeline is limited.
    pub with_relations: bool,
    /// Whether an invitation of who reads comes with what the invited may know of the room.
    pub with_invite_state: bool,
}

/// Bundled aggregations, as JSON objects by the event's id.
pub(super) type Relations = HashMap<OwnedEventId, String>;

impl<'a> Form<'a> {
    /// With all there is: everywhere but in `/sync`.
    pub fn whole(device: Option<&'a DeviceId>) -> Self {
        let format = Format::Client;
        Form { device, with_room_id: true, format, with_relations: true, with_invite_state: false }
    }

    /// As the API v1 of 2015 has it: nobody knew of relations then.
    pub fn v1(device: Option<&'a DeviceId>) -> Self {
        let format = Format::V1;
        Form { device, with_room_id: true, format, with_relations: false, with_invite_state: true }
    }

    /// As the endpoints have it that v1 and today's specification have in common (`/events`,
    /// `/initialSync`), in either format.
    pub fn old(device: Option<&'a DeviceId>, format: Format) -> Self {
        Form { format, with_relations: format != Format::V1, with_invite_state: true, ..Form::whole(device) }
    }
}

/// An event as a client gets it: a JSON object as text.
#[derive(Clone, Debug)]
pub struct Shown(String);

impl Shown {
    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What `fields` want of it.
    #[must_use]
    pub fn pruned(self, fields: &EventFields) -> Shown {
        Shown(fields.of(&self.0))
    }

    /// The JSON, to keep.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Appends a JSON list of events to a document that is being written.
pub fn write_list(out: &mut String, events: &[Shown]) {
    out.reserve(events.iter().map(|event| event.0.len() + 1).sum::<usize>() + 2);
    out.push('[');
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&event.0);
    }
    out.push(']');
}

/// Appends `key`, as it is, and `text` as a JSON string to a document that is being written.
pub fn write_text(out: &mut String, key: &str, text: &str) {
    format::push_string(out, key, text);
}

/// What is written once of an event. A copy begins anew, for whoever copies may change.
#[derive(Debug, Default)]
pub(super) struct Written(OnceLock<Box<str>>);

impl Clone for Written {
    fn clone(&self) -> Self {
        Written::default()
    }
}

/// The event without `room_id`, `unsigned` and the closing brace.
fn base(event: &TimelineEvent) -> &str {
    event.written.0.get_or_init(|| {
        let mut out = String::with_capacity(event.event.json().len());
        format::write_client_event(&mut out, &event.event, None, false);
        out.pop();
        out.into_boxed_str()
    })
}

/// `events` of `room` as `viewer` gets them, in the same order. Whether the viewer may see them is
/// decided before; what stands in `unsigned` of other events is decided here.
///
/// # Errors
/// If the database does not answer.
pub async fn events(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    events: &[Arc<TimelineEvent>],
    form: Form<'_>,
) -> Answer<Vec<Shown>> {
    let relations = match form.with_relations {
        true => aggregations::bundle(home, room, viewer, events, form).await?,
        false => Relations::new(),
    };
    with_relations(home, room, viewer, events, form, &relations).await
}

/// [`events`] with these aggregations.
pub(super) async fn with_relations(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    events: &[Arc<TimelineEvent>],
    form: Form<'_>,
    relations: &Relations,
) -> Answer<Vec<Shown>> {
    let around = Around::of(home, room, viewer, events, form).await?;
    let pruned = erased::prune(home, room, viewer, events).await?;
    let events = pruned.as_deref().unwrap_or(events);
    let now_ms = home.clock.now_ms();
    let mut shown = Vec::with_capacity(events.len());
    for event in events {
        let membership = viewer.membership_at(home, room, event).await?;
        let relations = relations.get(event.event.event_id()).map(String::as_str);
        shown.push(around.show(event, viewer, (membership.as_ref(), relations), now_ms, form));
    }
    Ok(shown)
}

/// [`events`] for one.
///
/// # Errors
/// If the database does not answer.
pub async fn event(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    event: &Arc<TimelineEvent>,
    form: Form<'_>,
) -> Answer<Shown> {
    let shown = events(home, room, viewer, std::slice::from_ref(event), form).await?.pop();
    shown.ok_or_else(|| Refusal::broken("an event was lost on its way"))
}

/// Other events that stand in `unsigned`; only those that the viewer may see.
#[derive(Default)]
struct Around {
    /// State events that were replaced.
    replaced: HashMap<OwnedEventId, Arc<Event>>,
    /// Redactions, as clients get them.
    redactions: HashMap<OwnedEventId, String>,
    /// What the viewer may know of the room by an invitation, as a JSON list.
    invite_states: HashMap<OwnedEventId, String>,
}

impl Around {
    async fn of(
        home: &Home,
        room: &Room,
        viewer: &Viewer,
        events: &[Arc<TimelineEvent>],
        form: Form<'_>,
    ) -> Answer<Self> {
        let mut around = Around::default();
        if form.with_invite_state {
            around.invite_states = stripped::of_invites(home, room, viewer, events, form.format).await?;
        }
        let (mut known, mut doubtful) = (Vec::new(), Vec::new());
        for event in events {
            let Some(replaced) = &event.replaces else { continue };
            // Who was in the room knew its state; who came later may not see all that was replaced.
            let joined = viewer.was_joined_before(home, room, event).await?;
            if joined { known.push(replaced.clone()) } else { doubtful.push(replaced.clone()) }
        }
        let redactions = events.iter().filter_map(|event| event.redacted_by.as_ref());
        let first_redaction = doubtful.len();
        doubtful.extend(redactions.cloned());
        if !known.is_empty() {
            let found = state::events_by_id(home, room, &known).await?;
            around.replaced.extend(known.into_iter().zip(found));
        }
        if doubtful.is_empty() {
            return Ok(around);
        }
        let (of_state, of_redactions) = doubtful.split_at(first_redaction);
        let found = timeline::by_ids(home, room, &doubtful).await?;
        for event in viewer.filter(home, room, found).await? {
            let event_id = event.event.event_id();
            if of_redactions.iter().any(|id| *id == *event_id) {
                around.redactions.insert(event_id.to_owned(), plain(&event, home.clock.now_ms(), form));
            }
            if of_state.iter().any(|id| *id == *event_id) {
                around.replaced.insert(event_id.to_owned(), event.event.clone());
            }
        }
        Ok(around)
    }

    fn show(
        &self,
        event: &TimelineEvent,
        viewer: &Viewer,
        (membership, relations): (Option<&MembershipState>, Option<&str>),
        now_ms: i64,
        form: Form<'_>,
    ) -> Shown {
        let replaced = event.replaces.as_deref().and_then(|id: &EventId| self.replaced.get(id));
        let redaction = event.redacted_by.as_deref().and_then(|id: &EventId| self.redactions.get(id));
        let invite_state = self.invite_states.get(event.event.event_id());
        let own = event.txn.as_ref().filter(|_| viewer.user() == Some(event.event.sender()));
        let of_device = |device: &DeviceId| own.filter(|(sender, _)| **sender == *device);
        let delayed = own.filter(|(sender, _)| Txn::is_delay(sender));
        let unsigned = Unsigned {
            age_ms: Some(age_ms(event, now_ms)),
            membership,
            prev_content_json: replaced.map(|event| event.content_str()),
            prev_sender: replaced.map(|event| event.sender()),
            replaces_state: replaced.map(|event| event.event_id()),
            redacted_because_json: redaction.map(String::as_str),
            transaction_id: form.device.and_then(of_device).map(|(_, txn_id)| txn_id.as_str()),
            delay_id: delayed.map(|(_, delay_id)| delay_id.as_str()),
            relations_json: relations,
            invite_room_state_json: invite_state.map(String::as_str),
            ..Unsigned::default()
        };
        Shown(splice(event, &unsigned, form))
    }
}

/// An event with nothing in `unsigned` but its age.
fn plain(event: &TimelineEvent, now_ms: i64, form: Form<'_>) -> String {
    let unsigned = Unsigned { age_ms: Some(age_ms(event, now_ms)), ..Unsigned::default() };
    splice(event, &unsigned, form)
}

/// Milliseconds since the event was made.
fn age_ms(event: &TimelineEvent, now_ms: i64) -> i64 {
    now_ms.saturating_sub(event.event.origin_server_ts().0.into())
}

fn splice(event: &TimelineEvent, unsigned: &Unsigned<'_>, form: Form<'_>) -> String {
    if form.format != Format::Client {
        let mut out = String::with_capacity(event.event.json().len() + 120);
        form.format.write(&mut out, &event.event, unsigned, form.with_room_id);
        return out;
    }
    let (base, unsigned) = (base(event), unsigned.to_json());
    let mut out = String::with_capacity(base.len() + unsigned.as_ref().map_or(0, String::len) + 120);
    out.push_str(base);
    if form.with_room_id {
        format::push_string(&mut out, r#","room_id":"#, event.event.room_id().as_str());
    }
    if let Some(unsigned) = unsigned {
        out.push_str(r#","unsigned":"#);
        out.push_str(&unsigned);
    }
    out.push('}');
    out
}

/// Events of a room's state, as a list beside the timeline shows them: with nothing in `unsigned` but
/// their age.
pub fn state(home: &Home, events: &[Arc<Event>], form: Form<'_>) -> Vec<Shown> {
    let now_ms = home.clock.now_ms();
    let mut shown = Vec::with_capacity(events.len());
    for event in events {
        let mut out = String::with_capacity(event.json().len());
        write_state_event(&mut out, event, now_ms, form.format, form.with_room_id);
        shown.push(Shown(out));
    }
    shown
}

/// The same for the API of 2015, which also names the event whose place each took, and says why one is empty
/// that was redacted.
///
/// # Errors
/// If the database does not answer.
pub async fn old_state(
    home: &Home,
    (room, viewer): (&Room, &Viewer),
    events: &[Arc<TimelineEvent>],
    form: Form<'_>,
) -> Answer<Vec<Shown>> {
    let redacted: Vec<_> = events.iter().filter(|event| event.redacted_by.is_some()).cloned().collect();
    let around = Around::of(home, room, viewer, &redacted, form).await?;
    let now_ms = home.clock.now_ms();
    let show = |event: &Arc<TimelineEvent>| {
        let redaction = event.redacted_by.as_deref().and_then(|id: &EventId| around.redactions.get(id));
        let unsigned = Unsigned {
            age_ms: Some(age_ms(event, now_ms)),
            replaces_state: event.replaces.as_deref(),
            redacted_because_json: redaction.map(String::as_str),
            ..Unsigned::default()
        };
        Shown(splice(event, &unsigned, form))
    };
    Ok(events.iter().map(show).collect())
}

/// One event of [`state`], appended to a document that is being written.
pub fn write_state_event(out: &mut String, event: &Event, now_ms: i64, format: Format, with_room_id: bool) {
    let age_ms = now_ms.saturating_sub(event.origin_server_ts().0.into());
    let unsigned = Unsigned { age_ms: Some(age_ms), ..Unsigned::default() };
    format.write(out, event, &unsigned, with_room_id);
}

//! What a push gateway is told: the body of `POST /_matrix/push/v1/notify`.
//!
//! A pusher that was set through v1 of 2015 is also told what the document of that time has in other
//! places: an `id`, and counts and devices beside the notification.

use ruma::{UserId, push::Action};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use store::pushers::Pusher;

use super::look::Due;
use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::summary,
};

/// The `format` of pushers that are told which event it is, and nothing of what is in it.
const EVENT_ID_ONLY: &str = "event_id_only";

#[derive(Serialize)]
struct Notice<'a> {
    notification: Notification<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<[Device<'a>; 1]>,
}

#[derive(Default, Serialize)]
struct Notification<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    #[serde(flatten)]
    event: Option<Event<'a>>,
    prio: &'static str,
    counts: Counts,
    devices: [Device<'a>; 1],
}

/// What is told of an event beside its id.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    sender: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_display_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_is_target: Option<bool>,
    content: &'a RawValue,
}

/// A number that is zero goes without saying, unless it is all there is to say.
#[derive(Clone, Copy, Default, Serialize)]
struct Counts {
    #[serde(skip_serializing_if = "Option::is_none")]
    unread: Option<u32>,
}

#[derive(Clone, Default, Serialize)]
struct Device<'a> {
    app_id: &'a str,
    pushkey: &'a str,
    pushkey_ts: i64,
    data: Map<String, Value>,
    tweaks: Map<String, Value>,
}

/// Where a pusher sends to, and with what.
pub(super) struct Data {
    /// The URL of the gateway.
    pub(super) url: String,
    /// What else the client said.
    rest: Map<String, Value>,
}

impl Data {
    /// Reads the `data` of a pusher.
    ///
    /// # Errors
    /// A broken server, if it is stored damaged.
    pub(super) fn of(data: &str) -> Answer<Self> {
        let damaged = || Refusal::broken("the data of a pusher are stored damaged");
        let mut rest: Map<String, Value> = serde_json::from_str(data).map_err(|_| damaged())?;
        let Some(Value::String(url)) = rest.remove("url") else { return Err(damaged()) };
        Ok(Data { url, rest })
    }
}

/// What is told of an event to the gateway of `pusher`, which is `user`'s, who has not read so many.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn of_event(
    home: &Home,
    pusher: &Pusher,
    user: &UserId,
    data: &Data,
    due: &Due,
    unread: u32,
) -> Answer<Vec<u8>> {
    let event = &due.what.event.event;
    let brief = data.rest.get("format").is_some_and(|format| format == EVENT_ID_ONLY);
    let notification = Notification {
        event_id: Some(event.event_id().as_str()),
        room_id: Some(event.room_id().as_str()),
        event: if brief { None } else { Some(whole(home, user, due).await?) },
        prio: prio(due, user),
        counts: Counts { unread: Some(unread).filter(|unread| *unread > 0) },
        devices: [device(pusher, data, tweaks(&due.what.actions))],
        ..Notification::default()
    };
    written(pusher, notification)
}

/// What is told when nothing has changed but the number of what the user has not read.
///
/// # Errors
/// A broken server, if it can not be written.
pub(super) fn of_count(pusher: &Pusher, data: &Data, unread: u32) -> Answer<Vec<u8>> {
    let notification = Notification {
        prio: "low",
        counts: Counts { unread: Some(unread) },
        devices: [device(pusher, data, Map::new())],
        ..Notification::default()
    };
    written(pusher, notification)
}

fn written(pusher: &Pusher, mut notification: Notification<'_>) -> Answer<Vec<u8>> {
    let old = pusher.set.of_2015;
    if old {
        notification.id = notification.event_id;
    }
    let notice = Notice {
        counts: old.then_some(notification.counts),
        devices: old.then(|| notification.devices.clone()),
        notification,
    };
    serde_json::to_vec(&notice).map_err(|error| Refusal::broken(error.to_string()))
}

fn device<'a>(pusher: &'a Pusher, data: &Data, tweaks: Map<String, Value>) -> Device<'a> {
    Device {
        app_id: &pusher.set.app_id,
        pushkey: &pusher.set.pushkey,
        pushkey_ts: pusher.set_ts / 1000,
        data: data.rest.clone(),
        tweaks,
    }
}

async fn whole<'a>(home: &Home, user: &UserId, due: &'a Due) -> Answer<Event<'a>> {
    let (room, root, event) = (&due.room, due.what.event.root, &due.what.event.event);
    let summary = summary::read(home, room, root).await?;
    let sender = store::members::get(&home.db, event.sender().as_str(), room.key).await?;
    let target = event.state_key().filter(|_| event.event_type() == "m.room.member");
    Ok(Event {
        event_type: event.event_type(),
        sender: event.sender().as_str(),
        sender_display_name: sender.and_then(|sender| sender.display_name),
        room_name: summary.name,
        room_alias: summary.canonical_alias,
        user_is_target: target.map(|target| target == user.as_str()),
        content: event.content(),
    })
}

/// How soon the user wants to know: at once if it makes a sound, is highlighted, is about the user, or may
/// be any of that for all that this server can read.
fn prio(due: &Due, user: &UserId) -> &'static str {
    let event = &due.what.event.event;
    let about_user = event.state_place() == Some(("m.room.member", user.as_str()));
    let loud = |action: &Action| action.is_highlight() || action.sound().is_some();
    let urgent = event.event_type() == "m.room.encrypted" || about_user || due.what.actions.iter().any(loud);
    if urgent { "high" } else { "low" }
}

fn tweaks(actions: &[Action]) -> Map<String, Value> {
    let mut tweaks = Map::new();
    for action in actions {
        let Ok(Value::Object(mut action)) = serde_json::to_value(action) else { continue };
        if let Some(Value::String(name)) = action.remove("set_tweak") {
            tweaks.insert(name, action.remove("value").unwrap_or(true.into()));
        }
    }
    tweaks
}

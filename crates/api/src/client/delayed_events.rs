//! Delayed events (MSC4140): `/_matrix/client/unstable/org.matrix.msc4140/…`
//!
//! They are scheduled in two ways: as the merged proposal has it, and by a query parameter of `/send`
//! and `/state`, as clients began with.

use homeserver::{
    Answer, Home, Refusal,
    rooms::delayed_events::{self, Action, Wish},
    who::Device,
};
use ruma::{CanonicalJsonObject, CanonicalJsonValue};
use serde_json::{Value, json};
use store::delayed_events::DelayedEvent;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The path of [`schedule`].
pub const SCHEDULE_PATH: &str =
    "/_matrix/client/unstable/org.matrix.msc4140/rooms/{room_id}/delayed_event/{event_type}/{txn_id}";
/// The path of [`list`].
pub const LIST_PATH: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events";
/// The path of [`get`] and [`update`].
pub const ONE_PATH: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}";
/// The path of [`act`].
pub const ACT_PATH: &str = "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}";

/// How long whoever asks wants `/send` or `/state` to wait, in milliseconds.
///
/// # Errors
/// `M_INVALID_PARAM` if that is no number.
pub fn delay_ms(ask: &Plain) -> Answer<Option<i64>> {
    let delay = ask.query("org.matrix.msc4140.delay");
    let malformed = |_| Refusal::invalid_param("org.matrix.msc4140.delay is a number of milliseconds");
    delay.map(|delay| delay.parse().map_err(malformed)).transpose()
}

/// Keeps an event to be sent later.
///
/// # Errors
/// As [`delayed_events::schedule`].
pub async fn keep(home: &Home, who: &Device, wish: Wish) -> Answer<Json> {
    Json::of(&json!({ "delay_id": delayed_events::schedule(home, who, wish).await? }))
}

/// `PUT …/rooms/{roomId}/delayed_event/{eventType}/{txnId}`
///
/// Keeps an event to be sent later: `delay_ms` (once called `delay`), `content`, and `state_key` if it
/// is a state event.
pub async fn schedule(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let (event_type, txn_id): (String, String) = (ask.path(1)?, ask.path(2)?);
    let mut body = rules::canonical::canonical_object(&ask.body)?;
    let txn = Some(format!("delayed_event/{}/{event_type}/{txn_id}", ask.path::<String>(0)?));
    let wish = Wish {
        room_id: ask.path(0)?,
        event_type,
        state_key: state_key(body.remove("state_key"))?,
        delay_ms: whole_ms(body.remove("delay_ms").or_else(|| body.remove("delay")))?,
        content: object(body.remove("content"))?,
        txn,
    };
    keep(&home, &who, wish).await
}

fn state_key(value: Option<CanonicalJsonValue>) -> Answer<Option<String>> {
    match value {
        None | Some(CanonicalJsonValue::Null) => Ok(None),
        Some(CanonicalJsonValue::String(state_key)) => Ok(Some(state_key)),
        Some(_) => Err(Refusal::bad_json("`state_key` is text")),
    }
}

fn whole_ms(value: Option<CanonicalJsonValue>) -> Answer<i64> {
    match value {
        Some(CanonicalJsonValue::Integer(ms)) => Ok(ms.into()),
        Some(_) => Err(Refusal::bad_json("`delay_ms` is a number of milliseconds")),
        None => Err(Refusal::missing_param("`delay_ms` is missing: how long to wait")),
    }
}

fn object(value: Option<CanonicalJsonValue>) -> Answer<CanonicalJsonObject> {
    match value {
        Some(CanonicalJsonValue::Object(content)) => Ok(content),
        Some(_) => Err(Refusal::bad_json("`content` is an object")),
        None => Err(Refusal::missing_param("`content` is missing: what to send")),
    }
}

/// `GET …/delayed_events`
///
/// The delayed events of whoever asks that wait, the next one first.
pub async fn list(home: Home, DeviceOrGuest(who): DeviceOrGuest, _: Plain) -> Answer<Json> {
    let waiting = delayed_events::list(&home, &who).await?;
    let waiting = waiting.iter().map(shown).collect::<Answer<Vec<_>>>()?;
    Json::of(&json!({ "delayed_events": waiting }))
}

/// `GET …/delayed_events/{delayId}`
///
/// One delayed event of whoever asks, and what became of it.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    Json::of(&shown(&delayed_events::get(&home, &who, &ask.path::<String>(0)?).await?)?)
}

/// A delayed event, with the names that its keys have now and those they had when clients began.
fn shown(delayed: &DelayedEvent) -> Answer<Value> {
    let damaged = |_| Refusal::broken("a delayed event is stored damaged");
    let read = |json: &str| serde_json::from_str::<Value>(json).map_err(damaged);
    let mut shown = json!({
        "delay_id": delayed.delay_id,
        "room_id": delayed.room_id,
        "type": delayed.event_type,
        "content": read(&delayed.content)?,
        "delay_ms": delayed.delay_ms,
        "delay": delayed.delay_ms,
        "delayed_since_ts": delayed.since_ts,
        "running_since": delayed.since_ts,
    });
    if let Some(state_key) = &delayed.state_key {
        shown["state_key"] = state_key.as_str().into();
    }
    if let Some(finalised_ts) = delayed.finalised_ts {
        let mut finalised = json!({ "finalised_ts": finalised_ts });
        if let Some(event_id) = &delayed.event_id {
            finalised["event_id"] = event_id.as_str().into();
        }
        if let Some(error) = &delayed.error {
            finalised["error"] = read(error)?;
        }
        shown["finalised"] = finalised;
    }
    Ok(shown)
}

/// `POST …/delayed_events/{delayId}/{action}`
///
/// Sends, cancels or restarts a delayed event.
pub async fn act(home: Home, who: Option<DeviceOrGuest>, ask: Plain) -> Answer<Json> {
    let action: String = ask.path(1)?;
    update_to(&home, who, &ask.path::<String>(0)?, &action).await
}

/// `POST …/delayed_events/{delayId}`
///
/// The same, with the `action` in the body, as clients began with.
pub async fn update(home: Home, who: Option<DeviceOrGuest>, ask: Plain) -> Answer<Json> {
    #[derive(serde::Deserialize)]
    struct Body {
        action: String,
    }
    let body: Body = ask.json()?;
    update_to(&home, who, &ask.path::<String>(0)?, &body.action).await
}

async fn update_to(home: &Home, who: Option<DeviceOrGuest>, delay_id: &str, action: &str) -> Answer<Json> {
    let action = match action {
        "restart" => Action::Restart,
        "send" => Action::Send,
        "cancel" => Action::Cancel,
        _ => return Err(Refusal::invalid_param("The action is restart, send or cancel")),
    };
    let who = who.map(|DeviceOrGuest(who)| who);
    delayed_events::act(home, who.as_ref(), delay_id, action).await?;
    Json::of(&json!({}))
}

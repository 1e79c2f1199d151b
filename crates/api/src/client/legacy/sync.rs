//! `sync.yaml` and `guest_events.yaml` of v1, which today's specification still has (`old_sync.yaml`): the
//! same in two formats of events.

use std::time::Duration;

use axum::response::Response;
use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        context, initial_sync,
        show::{Form, Format},
    },
    sync::{self, EventsAsk},
    who::Device,
};
use ruma::{OwnedEventId, OwnedRoomId};

use super::{number, refused::bad_pagination, token};
use crate::{answer::Json, caller::DeviceOrGuest, client::sync::respond, plain::Plain};

/// `GET /_matrix/client/api/v1/initialSync`
pub async fn initial_v1(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Response> {
    initial(&home, &who, &ask, Format::V1).await.map_err(bad_pagination)
}

/// `GET /_matrix/client/v3/initialSync`
pub async fn initial_v3(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Response> {
    initial(&home, &who, &ask, Format::Client).await
}

async fn initial(home: &Home, who: &Device, ask: &Plain, format: Format) -> Answer<Response> {
    let limit = number(ask, "limit")?.unwrap_or(initial_sync::EVENTS_DEFAULT);
    let archived = match ask.query("archived") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Refusal::invalid_param("`archived` in the query must be true or false")),
    };
    respond(sync::initial(home, who, format, limit, archived).await?).await
}

/// `GET /_matrix/client/api/v1/events`
pub async fn events_v1(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    events(&home, &who, &ask, Format::V1).await.map_err(bad_pagination)
}

/// `GET /_matrix/client/v3/events`
pub async fn events_v3(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    events(&home, &who, &ask, Format::Client).await
}

async fn events(home: &Home, who: &Device, ask: &Plain, format: Format) -> Answer<Json> {
    let malformed = |_| Refusal::invalid_param("`room_id` in the query must be the id of a room");
    let rooms = ask.query_all("room_id").map(OwnedRoomId::try_from).collect::<Result<_, _>>();
    let timeout = number(ask, "timeout")?.map_or(sync::EVENTS_TIMEOUT_DEFAULT, Duration::from_millis);
    let ask = EventsAsk {
        from: token(home, ask.query("from"))?,
        // What comes at the end is waited for.
        to: token(home, ask.query("to").filter(|to| *to != "END"))?,
        rooms: rooms.map_err(malformed)?,
        timeout,
        format,
    };
    Ok(Json(sync::events(home, who, ask).await?.into()))
}

/// `GET /_matrix/client/api/v1/events/{eventId}`
pub async fn event_v1(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    event(&home, &who, &ask, Format::V1).await
}

/// `GET /_matrix/client/v3/events/{eventId}`
pub async fn event_v3(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    event(&home, &who, &ask, Format::Client).await
}

async fn event(home: &Home, who: &Device, ask: &Plain, format: Format) -> Answer<Json> {
    let event_id: OwnedEventId = ask.path(0)?;
    let form = Form::old(Some(who.device()), format);
    Ok(Json(context::anywhere(home, who.user(), &event_id, form).await?.into_string().into()))
}

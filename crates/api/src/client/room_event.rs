//! One event of a room, and what surrounds it.

use homeserver::{
    Answer, Home,
    rooms::{context, show},
};
use rules::filter::EventFilter;
use ruma::api::client::{context::get_context, room::get_event_by_timestamp, room::get_room_event};

use crate::{answer::Json, caller::DeviceOrGuest};

/// `GET /_matrix/client/v3/rooms/{roomId}/event/{eventId}`
pub async fn get(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: get_room_event::v3::Request,
) -> Answer<Json> {
    let event = context::event(&home, who.user(), who.device(), &ask.room_id, &ask.event_id).await?;
    Ok(Json(event.into_string().into()))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/context/{eventId}`
pub async fn context(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: get_context::v3::Request,
) -> Answer<Json> {
    let filter = EventFilter::of_room_events(&ask.filter)?;
    let limit = usize::try_from(ask.limit).unwrap_or(usize::MAX);
    let (asker, place) = ((who.user(), who.device()), (&*ask.room_id, &*ask.event_id));
    let found = context::context(&home, asker, place, limit, &filter).await?;
    let mut out = format!(r#"{{"start":"{}","end":"{}","event":"#, found.start, found.end);
    out.push_str(found.event.as_str());
    for (key, list) in [
        (r#","events_before":"#, &found.before),
        (r#","events_after":"#, &found.after),
        (r#","state":"#, &found.state),
    ] {
        out.push_str(key);
        show::write_list(&mut out, list);
    }
    out.push('}');
    Ok(Json(out.into()))
}

/// `GET /_matrix/client/v1/rooms/{roomId}/timestamp_to_event`
pub async fn by_timestamp(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: get_event_by_timestamp::v1::Request,
) -> Answer<get_event_by_timestamp::v1::Response> {
    let (event_id, ts) = context::nearest(&home, who.user(), &ask.room_id, ask.ts, ask.dir).await?;
    Ok(get_event_by_timestamp::v1::Response::new(event_id, ts))
}

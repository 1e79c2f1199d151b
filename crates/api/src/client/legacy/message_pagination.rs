//! `message_pagination.yaml` of v1: a page of a room's history.

use homeserver::{
    Answer, Home, Refusal,
    rooms::{
        initial_sync::EVENTS_DEFAULT,
        messages::{self, Wanted},
        show::{self, Form},
    },
};
use rules::filter::EventFilter;
use ruma::{OwnedRoomId, RoomId, api::Direction};

use super::{number, refused::bad_pagination, token};
use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `GET /_matrix/client/api/v1/rooms/{roomId}/messages`
///
/// There is always an `end` to go on from: backwards after the beginning of the room there is nothing,
/// forwards there may be later.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    let room_id: OwnedRoomId = ask.path(0)?;
    let filter = EventFilter::default();
    let mut wanted = wanted(&home, &ask, &room_id, &filter).map_err(bad_pagination)?;
    wanted.form = Form::v1(Some(who.device()));
    let page = messages::page(&home, who.user(), wanted).await?;
    let end = page.end.unwrap_or(page.last);
    let mut out = format!(r#"{{"start":"{}","end":"{end}","chunk":"#, page.start);
    show::write_list(&mut out, &page.chunk);
    out.push('}');
    Ok(Json(out.into()))
}

fn wanted<'a>(home: &Home, ask: &Plain, room_id: &'a RoomId, filter: &'a EventFilter) -> Answer<Wanted<'a>> {
    let direction = match ask.query("dir") {
        Some("b") => Direction::Backward,
        // The documents before May 2015 know neither the parameter nor another direction.
        None => Direction::Backward,
        Some("f") => Direction::Forward,
        Some(_) => return Err(Refusal::invalid_param("`dir` in the query must be b or f")),
    };
    let (from, to) = (token(home, ask.query("from"))?, token(home, ask.query("to"))?);
    let limit = number(ask, "limit")?.unwrap_or(EVENTS_DEFAULT);
    Ok(Wanted { room_id, direction, from, to, limit, filter, form: Form::v1(None) })
}

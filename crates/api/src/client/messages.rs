//! `GET /_matrix/client/v3/rooms/{roomId}/messages`

use homeserver::{
    Answer, Home, Token,
    rooms::{
        messages::{self, Wanted},
        show::{self, Form},
    },
};
use rules::filter::EventFilter;
use ruma::api::client::message::get_message_events::v3;

use crate::{answer::Json, caller::DeviceOrGuest};

/// A page of a room's history.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: v3::Request) -> Answer<Json> {
    let filter = EventFilter::of_room_events(&ask.filter)?;
    let wanted = Wanted {
        room_id: &ask.room_id,
        direction: ask.dir,
        from: token(ask.from.as_deref())?,
        to: token(ask.to.as_deref())?,
        limit: usize::try_from(ask.limit).unwrap_or(usize::MAX),
        filter: &filter,
        form: Form::whole(Some(who.device())),
    };
    let page = messages::page(&home, who.user(), wanted).await?;
    let mut out = format!(r#"{{"start":"{}""#, page.start);
    if let Some(end) = page.end {
        out.push_str(&format!(r#","end":"{end}""#));
    }
    out.push_str(r#","chunk":"#);
    show::write_list(&mut out, &page.chunk);
    if !page.state.is_empty() {
        out.push_str(r#","state":"#);
        show::write_list(&mut out, &page.state);
    }
    out.push('}');
    Ok(Json(out.into()))
}

/// Reads a token; clients that have none may send an empty one.
pub fn token(text: Option<&str>) -> Answer<Option<Token>> {
    text.filter(|text| !text.is_empty()).map(str::parse).transpose()
}

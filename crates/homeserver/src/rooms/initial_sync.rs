//! `GET /rooms/{roomId}/initialSync`: a room as it is now, with its newest events.
//!
//! `GET /initialSync` shows each of the user's rooms like this, too.

use rules::filter::EventFilter;
use ruma::api::Direction;
use store::account_data::AccountData;

use super::{
    Room,
    messages::{self, Source, Stretch},
    read_state,
    show::{self, Form, Format},
    timeline,
    visibility::{Reach, Viewer},
};
use crate::{Home, Token, refusal::Answer, who::Device};

/// Events of a room, if the client does not say how many.
pub const EVENTS_DEFAULT: usize = 10;

/// Events of a room at most.
pub const EVENTS_MAX: usize = 100;

/// How much somebody wants to know of a room, and in which format.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its newest events, so many.
    pub limit: usize,
    /// How events are written.
    pub format: Format,
    /// The position up to which the room is shown.
    pub upto: i64,
}

/// Writes a room as a JSON object, which is left open.
///
/// # Errors
/// `M_FORBIDDEN` to who may not look into the room.
pub(crate) async fn write(
    home: &Home,
    who: &Device,
    out: &mut String,
    (room, viewer): (&Room, &Viewer),
    wanted: Wanted,
) -> Answer<()> {
    let newest = match viewer.reach(home, room).await? {
        Reach::Now => wanted.upto,
        Reach::Until(left_at) => left_at.min(wanted.upto),
    };
    let form = Form::old(Some(who.device()), wanted.format);
    write_room_id(out, room.room_id.as_str());
    if let Some(membership) = viewer.membership_now() {
        show::write_text(out, r#","membership":"#, membership);
    }
    write_messages(home, out, (room, viewer), newest, wanted.limit, form).await?;
    out.push_str(r#","state":"#);
    let root = timeline::root_at(home, room, newest).await?;
    out.push_str(&read_state::whole(home, (room, viewer), root, form).await?);
    if wanted.format != Format::V1 {
        let own = store::account_data::of_room(&home.db, who.user_id.as_str(), room.key).await?;
        write_account_data(out, &own);
    }
    let stored = store::rooms::by_key(&home.db, room.key).await?;
    let public = stored.is_some_and(|stored| stored.public);
    out.push_str(if public { r#","visibility":"public""# } else { r#","visibility":"private""# });
    Ok(())
}

/// Begins a room: `{"room_id":"…"`.
pub(crate) fn write_room_id(out: &mut String, room_id: &str) {
    show::write_text(out, r#"{"room_id":"#, room_id);
}

/// Writes the newest events up to the position `newest`, oldest first.
async fn write_messages(
    home: &Home,
    out: &mut String,
    (room, viewer): (&Room, &Viewer),
    newest: i64,
    limit: usize,
    form: Form<'_>,
) -> Answer<()> {
    let (from, to) = (Token::after(newest), Token::before(room.key));
    let stretch = Stretch { direction: Direction::Backward, from, to };
    let limit = limit.min(EVENTS_MAX);
    let mut walked =
        messages::walk(home, room, viewer, Source::Timeline, stretch, limit, &EventFilter::default()).await?;
    walked.events.reverse();
    let shown = show::events(home, room, viewer, &walked.events, form).await?;
    let start = walked.end.unwrap_or(to);
    out.push_str(&format!(r#","messages":{{"start":"{start}","end":"{from}","chunk":"#));
    show::write_list(out, &shown);
    out.push('}');
    Ok(())
}

/// Writes account data: `,"account_data":[…]`.
pub(crate) fn write_account_data(out: &mut String, data: &[AccountData]) {
    out.push_str(r#","account_data":["#);
    for (i, data) in data.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        show::write_text(out, r#"{"type":"#, &data.data_type);
        out.push_str(r#","content":"#);
        out.push_str(&data.content);
        out.push('}');
    }
    out.push(']');
}

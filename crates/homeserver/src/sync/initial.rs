//! `GET /initialSync` and `GET /rooms/{roomId}/initialSync`: everything at once, as v1 of 2015 has it and
//! today's specification still does. Receipts stand by themselves, and v1 only has them.

use ruma::{EventId, RoomId};
use std::sync::Arc;
use store::members::Member;

use super::{account_data, ephemeral, look::Look, plan::Entry, presence, stream::Shape, write};
use crate::{
    Home, presence as about,
    refusal::{Answer, Refusal},
    rooms::{
        self, Room,
        initial_sync::{self, Wanted},
        show::{self, Form, Format},
        timeline,
        visibility::{self, Viewer},
    },
    who::Device,
};

/// Bytes of all receipts in one answer; those of further rooms are left out.
const RECEIPTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The shape of `/initialSync`.
#[derive(Default)]
pub(super) struct Initial {
    /// Whether a room was written.
    any: bool,
    /// The events of all receipts, with a comma between them.
    receipts: String,
}

impl Shape for Initial {
    async fn begin(&mut self, look: &Look, out: &mut String) -> Answer<bool> {
        out.push_str(r#"{"end":"#);
        write::text(out, &look.upto.to_string());
        out.push_str(r#","presence":["#);
        if look.ask.filter.format == Format::V1 {
            presence::write_2015(look, out, false).await?;
            out.push(']');
        } else {
            presence::write_list(look, out).await?;
            out.push(']');
            initial_sync::write_account_data(out, &account_data::global(look).await?);
        }
        out.push_str(r#","rooms":["#);
        Ok(true)
    }

    async fn room(&mut self, look: &Look, out: &mut String, entry: Entry, member: &Member) -> Answer<()> {
        if matches!(entry, Entry::Knock(_)) {
            // No membership that this endpoint knows.
            return Ok(());
        }
        if std::mem::replace(&mut self.any, true) {
            out.push(',');
        }
        let room = rooms::find_by_key(&look.home, member.room).await?;
        let viewer = look.viewer(member);
        let format = look.ask.filter.format;
        if matches!(entry, Entry::Leave(_)) && was_never_in(look, &room, &viewer).await? {
            initial_sync::write_room_id(out, room.room_id.as_str());
            out.push_str(r#","membership":"#);
            write::text(out, &member.membership);
            out.push('}');
            return Ok(());
        }
        if !matches!(entry, Entry::Invite(_)) {
            let wanted = Wanted { limit: look.ask.filter.timeline_limit(), format, upto: look.upto.pos };
            initial_sync::write(&look.home, &look.who, out, (&room, &viewer), wanted).await?;
            out.push('}');
            if matches!(entry, Entry::Join(_)) && format == Format::V1 {
                self.add_receipts(look, &room).await?;
            }
            return Ok(());
        }
        let damaged = || Refusal::broken(format!("a membership in {} is damaged", room.room_id));
        let event_id = EventId::parse(&*member.event_id).map_err(|_| damaged())?;
        let invite = timeline::get(&look.home, &room, &event_id).await?.ok_or_else(damaged)?;
        let form = Form::old(Some(look.who.device()), format);
        let invite = show::event(&look.home, &room, &viewer, &Arc::new(invite), form).await?;
        initial_sync::write_room_id(out, room.room_id.as_str());
        out.push_str(r#","membership":"invite","invite":"#);
        out.push_str(invite.as_str());
        out.push('}');
        Ok(())
    }

    fn has_rooms(&self) -> bool {
        self.any
    }

    fn end(self, look: &Look, out: &mut String) {
        out.push(']');
        if look.ask.filter.format == Format::V1 {
            out.push_str(r#","receipts":["#);
            out.push_str(&self.receipts);
            out.push(']');
        }
        out.push('}');
    }
}

/// Whether nothing of a room that is left may be read: an invite was declined or taken back, or somebody was
/// banned in advance.
async fn was_never_in(look: &Look, room: &Room, viewer: &Viewer) -> Answer<bool> {
    match viewer.reach(&look.home, room).await {
        Err(refusal) if refusal.errcode == "M_FORBIDDEN" => Ok(true),
        reach => reach.map(|_| false),
    }
}

impl Initial {
    async fn add_receipts(&mut self, look: &Look, room: &Room) -> Answer<()> {
        let told = ephemeral::receipts_2015(&look.home, look.user(), room, look.upto.pos).await?;
        if let Some(told) = told.filter(|told| self.receipts.len() + told.len() < RECEIPTS_BYTES_MAX) {
            if !self.receipts.is_empty() {
                self.receipts.push(',');
            }
            self.receipts.push_str(&told);
        }
        Ok(())
    }
}

/// `GET /rooms/{roomId}/initialSync`: one room, with the `limit` newest events; in v1 also who of its
/// members is about, and what they have read.
///
/// # Errors
/// `M_FORBIDDEN` to who may not look into the room.
pub async fn of_room(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    limit: usize,
    format: Format,
) -> Answer<String> {
    let upto = home.db.upto();
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    let mut out = String::new();
    initial_sync::write(home, who, &mut out, (&room, &viewer), Wanted { limit, format, upto }).await?;
    if format == Format::V1 {
        write_members_2015(home, (&room, &viewer), upto, &mut out).await?;
    }
    out.push('}');
    Ok(out)
}

/// What only who is in the room learns.
async fn write_members_2015(
    home: &Home,
    (room, viewer): (&Room, &Viewer),
    upto: i64,
    out: &mut String,
) -> Answer<()> {
    let joined = viewer.user().filter(|_| viewer.membership_now() == Some("join"));
    let (mut members, mut receipts) = (Vec::new(), None);
    if let Some(user) = joined {
        members = about::in_room(home, room).await?;
        receipts = ephemeral::receipts_2015(home, user, room, upto).await?;
    }
    out.push_str(r#","presence":"#);
    write::value(out, &members);
    out.push_str(r#","receipts":["#);
    out.push_str(&receipts.unwrap_or_default());
    out.push(']');
    Ok(())
}

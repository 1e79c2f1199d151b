//! `GET /initialSync`: everything at once, as v1 of 2015 has it and today's specification still does.

use ruma::EventId;
use std::sync::Arc;
use store::members::Member;

use super::{account_data, look::Look, plan::Entry, presence, stream::Shape, write};
use crate::{
    refusal::{Answer, Refusal},
    rooms::{
        self,
        initial_sync::{self, Wanted},
        show::{self, Form, Format},
        timeline,
    },
};

/// The shape of `/initialSync`.
#[derive(Default)]
pub(super) struct Initial {
    /// Whether a room was written.
    any: bool,
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
        if !matches!(entry, Entry::Invite(_)) {
            let wanted = Wanted { limit: look.ask.filter.timeline_limit(), format, upto: look.upto.pos };
            return initial_sync::write(&look.home, &look.who, out, (&room, &viewer), wanted).await;
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

    fn end(self, _: &Look, out: &mut String) {
        out.push_str("]}");
    }
}

//! `GET /_matrix/client/v3/sync`: the answer as today's specification writes it.

use store::members::Member;

use super::{account_data, invited, joined, left, look::Look, plan::Entry, presence, stream::Shape, write};
use crate::refusal::Answer;

/// What every answer has to say of devices until there are keys and messages between them.
const DEVICES: &str = concat!(
    r#""to_device":{"events":[]},"device_lists":{"changed":[],"left":[]},"#,
    r#""device_one_time_keys_count":{},"device_unused_fallback_key_types":[]"#
);

/// The shape of `/sync`.
#[derive(Default)]
pub(super) struct V3 {
    /// The section that is open.
    section: Option<&'static str>,
}

impl Shape for V3 {
    async fn begin(&mut self, look: &Look, out: &mut String) -> Answer<bool> {
        out.push_str(r#"{"next_batch":"#);
        write::text(out, &look.upto.to_string());
        out.push_str(r#","account_data":"#);
        let account_data = account_data::global(look).await?;
        let mut any = !account_data.is_empty();
        account_data::write(out, account_data);
        out.push_str(r#","presence":"#);
        any |= presence::write(look, out).await?;
        out.push(',');
        out.push_str(DEVICES);
        out.push_str(r#","rooms":{"#);
        Ok(any)
    }

    async fn room(&mut self, look: &Look, out: &mut String, entry: Entry, member: &Member) -> Answer<()> {
        let mut room = String::new();
        match entry {
            Entry::Join(_) => joined::write(look, &mut room, member).await?,
            Entry::Invite(_) => invited::write(look, &mut room, member, "invite_state").await?,
            Entry::Knock(_) => invited::write(look, &mut room, member, "knock_state").await?,
            Entry::Leave(_) => left::write(look, &mut room, member).await?,
        }
        if !room.is_empty() {
            self.open(section(entry), out);
            out.push_str(&room);
        }
        Ok(())
    }

    fn has_rooms(&self) -> bool {
        self.section.is_some()
    }

    fn end(self, _: &Look, out: &mut String) {
        out.push_str(if self.section.is_some() { "}}}" } else { "}}" });
    }
}

impl V3 {
    fn open(&mut self, section: &'static str, out: &mut String) {
        if self.section == Some(section) {
            out.push(',');
            return;
        }
        if self.section.replace(section).is_some() {
            out.push_str("},");
        }
        write::key(out, section);
        out.push('{');
    }
}

fn section(entry: Entry) -> &'static str {
    match entry {
        Entry::Join(_) => "join",
        Entry::Invite(_) => "invite",
        Entry::Knock(_) => "knock",
        Entry::Leave(_) => "leave",
    }
}

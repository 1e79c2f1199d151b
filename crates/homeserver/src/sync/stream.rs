//! The answer as text: in one piece if it is short, else room by room.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::{
    account_data, invited, joined, left,
    look::Look,
    plan::{Entry, Plan},
    presence, write,
};
use crate::refusal::Answer;

/// Bytes that are sent at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What every answer has to say of devices until there are keys and messages between them.
const DEVICES: &str = concat!(
    r#""to_device":{"events":[]},"device_lists":{"changed":[],"left":[]},"#,
    r#""device_one_time_keys_count":{},"device_unused_fallback_key_types":[]"#
);

/// The whole answer, and whether it tells anything.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn whole(look: &Look, plan: Plan) -> Answer<(String, bool)> {
    let mut writing = Writing::new(plan);
    let mut out = String::new();
    let mut any = writing.begin(look, &mut out).await?;
    while writing.entry(look, &mut out).await? {}
    any |= writing.section.is_some();
    writing.end(&mut out);
    Ok((out, any))
}

/// The answer piece by piece, each as it is asked for.
///
/// # Errors
/// If the database does not answer; once the first piece is out, the stream breaks off instead.
pub(super) async fn pieces(look: Look) -> Answer<BoxStream<'static, Answer<Bytes>>> {
    let mut writing = Writing::new(Plan::of(&look).await?);
    let mut first = String::new();
    writing.begin(&look, &mut first).await?;
    let state = Some((look, writing, first));
    Ok(stream::try_unfold(state, |state| async {
        let Some((look, mut writing, mut out)) = state else { return Ok(None) };
        while out.len() < PIECE_BYTES {
            if !writing.entry(&look, &mut out).await? {
                writing.end(&mut out);
                return Ok(Some((out.into(), None)));
            }
        }
        Ok(Some((out.into(), Some((look, writing, String::new())))))
    })
    .boxed())
}

/// An answer that is being written.
struct Writing {
    entries: std::vec::IntoIter<Entry>,
    /// The section that is open.
    section: Option<&'static str>,
}

impl Writing {
    fn new(plan: Plan) -> Self {
        Writing { entries: plan.entries.into_iter(), section: None }
    }

    /// Writes what is not about rooms; answers whether that tells anything.
    async fn begin(&mut self, look: &Look, out: &mut String) -> Answer<bool> {
        out.push_str(r#"{"next_batch":"#);
        write::text(out, &look.upto.to_string());
        out.push_str(r#","account_data":"#);
        let mut any = account_data::write_global(look, out).await?;
        out.push_str(r#","presence":"#);
        any |= presence::write(look, out).await?;
        out.push(',');
        out.push_str(DEVICES);
        out.push_str(r#","rooms":{"#);
        Ok(any)
    }

    /// Writes the next room; answers whether there was one.
    async fn entry(&mut self, look: &Look, out: &mut String) -> Answer<bool> {
        let Some(entry) = self.entries.next() else { return Ok(false) };
        let (Entry::Join(place) | Entry::Invite(place) | Entry::Knock(place) | Entry::Leave(place)) = entry;
        let member = &look.standings[place];
        let mut room = String::new();
        match entry {
            Entry::Join(_) => joined::write(look, &mut room, member).await?,
            Entry::Invite(_) => invited::write(look, &mut room, member, "invite_state").await?,
            Entry::Knock(_) => invited::write(look, &mut room, member, "knock_state").await?,
            Entry::Leave(_) => left::write(look, &mut room, member).await?,
        }
        if !room.is_empty() {
            self.open(entry.section(), out);
            out.push_str(&room);
        }
        Ok(true)
    }

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

    fn end(&mut self, out: &mut String) {
        out.push_str(if self.section.is_some() { "}}}" } else { "}}" });
    }
}

impl Entry {
    fn section(self) -> &'static str {
        match self {
            Entry::Join(_) => "join",
            Entry::Invite(_) => "invite",
            Entry::Knock(_) => "knock",
            Entry::Leave(_) => "leave",
        }
    }
}

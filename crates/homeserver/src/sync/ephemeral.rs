//! What happens in a room beside its events: who has read what, and who is typing.

use std::collections::BTreeMap;

use rules::filter::Subject;
use ruma::{OwnedUserId, RoomId, UserId};
use store::receipts::{self, Receipt};

use super::{look::Look, write};
use crate::{Home, refusal::Answer, rooms::Room};

/// Receipts of one room in one answer; the newest count.
const RECEIPTS_MAX: i64 = 5_000;

/// `ephemeral` of a room.
pub(super) struct Ephemeral {
    receipts: Vec<Receipt>,
    typing: Option<Vec<OwnedUserId>>,
}

/// What the client is to learn of `room`; all of it if the room is new to it.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn of(look: &Look, room: &Room, is_new: bool) -> Answer<Ephemeral> {
    let wanted = |event_type| {
        look.ask.filter.ephemeral.admits_subject(&Subject {
            event_type,
            sender: None,
            room_id: Some(&room.room_id),
            has_url: false,
        })
    };
    let since = if is_new { 0 } else { look.since_pos() };
    let mut receipts = Vec::new();
    if wanted("m.receipt") && look.home.lately_receipts.perhaps_after(room.key, since) {
        let (db, user) = (&look.home.db, look.user().as_str());
        receipts = receipts::after(db, room.key, user, since, RECEIPTS_MAX).await?;
        // What was sent in the meantime comes with the next sync.
        receipts.retain(|receipt| receipt.pos <= look.upto.pos);
    }
    let serial = if is_new { 0 } else { look.since_serial() };
    let typing = if wanted("m.typing") { look.home.ephemera.typing(room.key, serial) } else { None };
    Ok(Ephemeral { receipts, typing })
}

/// The receipts of `room` up to the position `upto` that `user` may know of, as one event of 2015; none
/// if there are none.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn receipts_2015(
    home: &Home,
    user: &UserId,
    room: &Room,
    upto: i64,
) -> Answer<Option<String>> {
    let mut receipts = receipts::after(&home.db, room.key, user.as_str(), 0, RECEIPTS_MAX).await?;
    receipts.retain(|receipt| receipt.pos <= upto);
    let ephemeral = Ephemeral { receipts, typing: None };
    let mut out = String::new();
    ephemeral.write(&mut out, Some(&room.room_id));
    Ok((!ephemeral.is_empty()).then_some(out))
}

impl Ephemeral {
    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.receipts.is_empty() && self.typing.is_none()
    }

    /// Writes the events, with a comma between them; with `room_id` as they were in 2015.
    pub(super) fn write(&self, out: &mut String, room_id: Option<&RoomId>) {
        if !self.receipts.is_empty() {
            out.push_str(r#"{"type":"m.receipt","content":"#);
            write::value(out, &content(&self.receipts));
            end(out, room_id);
        }
        if let Some(users) = &self.typing {
            write::comma(out);
            out.push_str(r#"{"type":"m.typing","content":{"user_ids":"#);
            write::value(out, users);
            out.push('}');
            end(out, room_id);
        }
    }
}

fn end(out: &mut String, room_id: Option<&RoomId>) {
    if let Some(room_id) = room_id {
        out.push_str(r#","room_id":"#);
        write::text(out, room_id.as_str());
    }
    out.push('}');
}

/// What one user said of one event.
#[derive(serde::Serialize)]
struct Said<'a> {
    ts: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    thread_id: &'a str,
}

/// By event, type of receipt and user.
type Content<'a> = BTreeMap<&'a str, BTreeMap<&'a str, BTreeMap<&'a str, Said<'a>>>>;

fn content(receipts: &[Receipt]) -> Content<'_> {
    let mut content = Content::new();
    for receipt in receipts {
        let of_event = content.entry(&receipt.event_id).or_default();
        let of_type = of_event.entry(&receipt.receipt_type).or_default();
        // A user may have receipts of several threads at one event; the format has room for the newest.
        let said = Said { ts: receipt.ts, thread_id: &receipt.thread_id };
        of_type.entry(&receipt.user_id).or_insert(said);
    }
    content
}

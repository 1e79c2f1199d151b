//! `PUT /_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}`, and in 2015 `POST` without the last.

use ruma::{CanonicalJsonObject, EventId, OwnedEventId, OwnedTransactionId, RoomId};

use super::{Intent, Room, Txn, append, memory, timeline};
use crate::{Home, refusal::Answer, who::Device};

/// Redacts an event and answers the id of the redaction; the same one for the same transaction id.
///
/// # Errors
/// `M_NOT_FOUND` if the room has no such event, `M_FORBIDDEN` with the reason, `M_USER_SUSPENDED` to a
/// suspended account that wants to redact what others said.
pub async fn redact(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    event_id: &EventId,
    txn_id: Option<OwnedTransactionId>,
    reason: Option<String>,
) -> Answer<OwnedEventId> {
    let room = memory::find(home, room_id).await?;
    check_suspension(home, who, &room, event_id).await?;
    let mut content = CanonicalJsonObject::new();
    if let Some(reason) = reason {
        content.insert("reason".to_owned(), reason.into());
    }
    let mut intent = Intent::message(who.user(), "m.room.redaction", content);
    intent.redacts = Some(event_id.to_owned());
    intent.by_administrator = who.admin;
    intent.txn = Txn::of(who, format!("redact/{room_id}/{event_id}"), txn_id);
    append(home, &room, intent).await
}

/// A suspended account may take back what it said, nothing else.
pub(super) async fn check_suspension(
    home: &Home,
    who: &Device,
    room: &Room,
    event_id: &EventId,
) -> Answer<()> {
    if who.suspended {
        let target = timeline::get(home, room, event_id).await?;
        if target.is_none_or(|target| target.event.sender() != who.user()) {
            who.may_act()?;
        }
    }
    Ok(())
}

//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`, and in 2015 `POST` without the last.

use ruma::{CanonicalJsonObject, EventId, OwnedEventId, OwnedTransactionId, RoomId};

use super::{Intent, Txn, append, memory, redact};
use crate::{
    Home, presence,
    refusal::{Answer, Refusal},
    who::Device,
};

/// Sends an event that is no state and answers its id; the same one for the same transaction id. Without
/// one, every request sends another event.
///
/// # Errors
/// `M_FORBIDDEN` with the reason, `M_NOT_FOUND` if there is no such room, `M_TOO_LARGE`.
pub async fn send(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    event_type: &str,
    content: CanonicalJsonObject,
    txn_id: Option<OwnedTransactionId>,
) -> Answer<OwnedEventId> {
    let txn = Txn::of(who, format!("send/{room_id}/{event_type}"), txn_id);
    let event_id = send_once(home, who, room_id, event_type, content, txn).await?;
    presence::acts(home, who.user());
    Ok(event_id)
}

/// [`send`] in any transaction.
pub(super) async fn send_once(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    event_type: &str,
    mut content: CanonicalJsonObject,
    txn: Option<Txn>,
) -> Answer<OwnedEventId> {
    let room = memory::find(home, room_id).await?;
    let mut redacts = None;
    if event_type == "m.room.redaction" {
        // Where it belongs in the event differs by room version: the event's maker knows.
        let named = content.remove("redacts");
        let named = named.as_ref().and_then(|value| EventId::parse(value.as_str()?).ok());
        let named = named.ok_or_else(|| Refusal::bad_json("`redacts` is the id of an event"))?;
        redact::check_suspension(home, who, &room, &named).await?;
        redacts = Some(named);
    } else {
        who.may_act()?;
    }
    let intent = Intent {
        redacts,
        by_administrator: who.admin,
        txn,
        ..Intent::message(who.user(), event_type, content)
    };
    append(home, &room, intent).await
}

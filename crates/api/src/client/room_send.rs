//! `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}`

use homeserver::{
    Answer, Home,
    rooms::{self, Intent, Txn},
};
use ruma::api::client::message::send_message_event::v3;

use crate::caller::DeviceOrGuest;

/// Sends a message event. Asked again with the same `txnId`, answers with the same event.
pub async fn send(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: v3::Request) -> Answer<v3::Response> {
    who.may_act()?;
    let content = rules::canonical::canonical_object(ask.body.json().get().as_bytes())?;
    let room = rooms::find(&home, &ask.room_id).await?;
    let event_type = ask.event_type.to_string();
    let mut intent = Intent::message(who.user(), &event_type, content);
    intent.txn = Some(Txn {
        device_id: who.device_id.clone(),
        scope: format!("send/{}/{event_type}", ask.room_id),
        txn_id: ask.txn_id,
    });
    rooms::relations::check(&home, &room, &intent).await?;
    Ok(v3::Response::new(rooms::append(&home, &room, intent).await?))
}

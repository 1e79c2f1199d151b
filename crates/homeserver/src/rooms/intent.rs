//! What somebody wants to happen in a room, and the transaction that it was asked with.

use rules::event::Event;
use ruma::{
    CanonicalJsonObject, DeviceId, MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedEventId,
    OwnedTransactionId, OwnedUserId, UserId,
};
use store::txns::Key;

use crate::who::Device;

/// What somebody wants to happen in a room.
#[derive(Clone, Debug)]
pub struct Intent {
    /// Who.
    pub sender: OwnedUserId,
    /// The event's `type`.
    pub event_type: String,
    /// The event's `state_key`, for a state event.
    pub state_key: Option<String>,
    /// The event's `content`.
    pub content: CanonicalJsonObject,
    /// Which event it redacts.
    pub redacts: Option<OwnedEventId>,
    /// Whether an administrator of this server wants it, who may redact what its users said.
    pub by_administrator: bool,
    /// The transaction id it was asked with.
    pub txn: Option<Txn>,
    /// When it happened, if not now (application services).
    pub origin_server_ts: Option<MilliSecondsSinceUnixEpoch>,
}

/// A transaction id, with what it is bound to.
#[derive(Clone, Debug)]
pub struct Txn {
    /// The device that asks.
    pub device_id: OwnedDeviceId,
    /// The endpoint and the path: the same id elsewhere is another transaction.
    pub scope: String,
    /// The transaction id.
    pub txn_id: OwnedTransactionId,
}

impl Txn {
    /// The transaction `txn_id` of `who`, if there is one, at the endpoint and path `scope`.
    pub fn of(who: &Device, scope: String, txn_id: Option<OwnedTransactionId>) -> Option<Self> {
        txn_id.map(|txn_id| Txn { device_id: who.device_id.clone(), scope, txn_id })
    }

    /// Endpoint, path and id in one.
    pub fn name(&self) -> String {
        format!("{}/{}", self.scope, self.txn_id)
    }

    /// What it is known by if this user asks.
    pub(super) fn key_of(&self, sender: &UserId) -> Key {
        Key::of(sender.as_str(), self.device_id.as_str(), &self.name())
    }

    /// The sending of a delayed event, which happens once, whoever begins it. Belongs to no device, for
    /// none has an empty id.
    pub(super) fn of_delay(delay_id: &str) -> Self {
        Txn { device_id: "".into(), scope: "delayed_event".to_owned(), txn_id: delay_id.into() }
    }

    /// Whether the transactions of this device are delayed events.
    pub(super) fn is_delay(device_id: &DeviceId) -> bool {
        device_id.as_str().is_empty()
    }
}

impl Intent {
    /// A message event.
    pub fn message(sender: &UserId, event_type: &str, content: CanonicalJsonObject) -> Self {
        Intent {
            sender: sender.to_owned(),
            event_type: event_type.to_owned(),
            state_key: None,
            content,
            redacts: None,
            by_administrator: false,
            txn: None,
            origin_server_ts: None,
        }
    }

    /// A state event.
    pub fn state(sender: &UserId, event_type: &str, state_key: &str, content: CanonicalJsonObject) -> Self {
        Intent { state_key: Some(state_key.to_owned()), ..Intent::message(sender, event_type, content) }
    }

    /// Whether a state event says what this wants to say, by the same sender.
    pub(super) fn is_said_by(&self, event: &Event) -> bool {
        *event.sender() == *self.sender
            && event.content_as::<CanonicalJsonObject>().is_ok_and(|content| content == self.content)
    }
}

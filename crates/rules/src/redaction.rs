//! What remains of a redacted event.
//!
//! Spec: rooms/v*, «Redactions».

use ruma::{
    CanonicalJsonObject,
    canonical_json::{redact_content_in_place, redact_in_place},
    room_version_rules::RoomVersionRules,
};

use crate::{
    Refused, canonical,
    event::Event,
    power_levels::{Power, PowerLevels},
};

/// Whether a redaction takes effect on its target, once both are known and valid: sending it is another question,
/// which the authorization rules answer. Until it does, clients do not see the redaction.
///
/// Spec: rooms/v3, «Handling redactions».
pub fn applies(redaction: &Event, target: &Event, power_levels: &PowerLevels) -> bool {
    redaction.redacts() == Some(target.event_id())
        && redaction.room_id() == target.room_id()
        && (power_levels.user(redaction.sender()) >= Power::Level(power_levels.redact())
            || redaction.sender().server_name() == target.sender().server_name())
}

/// The redacted form of a PDU in canonical bytes: what a server stores once the event is redacted.
///
/// The event id, the hashes and the signatures stay valid. Nothing is added; `unsigned.redacted_because`
/// belongs to the way out.
///
/// # Errors
/// [`Refused`] if `json` is not a PDU.
pub fn redacted(json: &[u8], rules: &RoomVersionRules) -> Result<Vec<u8>, Refused> {
    let mut object = canonical::canonical_object(json)?;
    redact_in_place(&mut object, &rules.redaction, None)
        .map_err(|error| Refused::BadJson(error.to_string()))?;
    let mut bytes = Vec::with_capacity(json.len());
    canonical::write(&mut bytes, &object);
    Ok(bytes)
}

/// The canonical bytes of what redaction leaves of the content of an event of this type.
pub fn redacted_content(
    event_type: &str,
    content: &CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Vec<u8> {
    if !keeps_content(event_type) {
        return b"{}".to_vec();
    }
    let mut kept = content.clone();
    redact_content_in_place(&mut kept, &rules.redaction, event_type);
    let mut bytes = Vec::new();
    canonical::write(&mut bytes, &kept);
    bytes
}

/// Whether redaction leaves anything in the content of events of this type, in any room version.
fn keeps_content(event_type: &str) -> bool {
    matches!(
        event_type,
        "m.room.member"
            | "m.room.create"
            | "m.room.join_rules"
            | "m.room.power_levels"
            | "m.room.history_visibility"
            | "m.room.redaction"
            | "m.room.aliases"
    )
}

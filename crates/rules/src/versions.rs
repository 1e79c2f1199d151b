//! Room versions: which ones this server speaks, and the one table of what differs between them.

use ruma::{RoomVersionId, room_version_rules::RoomVersionRules};

use crate::Refused;

/// The version of a room whose creator does not choose one.
pub const DEFAULT: RoomVersionId = RoomVersionId::V12;

/// Every supported room version, oldest first. All of them are stable.
///
/// Older ones are left out: they allow events that are not canonical JSON (before 6) and name events by
/// what their server claims (before 3).
pub const SUPPORTED: [RoomVersionId; 7] = [
    RoomVersionId::V6,
    RoomVersionId::V7,
    RoomVersionId::V8,
    RoomVersionId::V9,
    RoomVersionId::V10,
    RoomVersionId::V11,
    RoomVersionId::V12,
];

/// What differs between room versions, as ruma writes it down: one struct of flags per version.
///
/// # Errors
/// [`Refused::UnsupportedRoomVersion`] for everything outside [`SUPPORTED`].
pub fn rules(version: &RoomVersionId) -> Result<&'static RoomVersionRules, Refused> {
    Ok(match version {
        RoomVersionId::V6 => &RoomVersionRules::V6,
        RoomVersionId::V7 => &RoomVersionRules::V7,
        RoomVersionId::V8 => &RoomVersionRules::V8,
        RoomVersionId::V9 => &RoomVersionRules::V9,
        RoomVersionId::V10 => &RoomVersionRules::V10,
        RoomVersionId::V11 => &RoomVersionRules::V11,
        RoomVersionId::V12 => &RoomVersionRules::V12,
        other => return Err(Refused::UnsupportedRoomVersion(other.to_string())),
    })
}

//! Why something is refused. The one error type of this crate.

use ruma::{OwnedRoomId, OwnedUserId, events::room::member::MembershipState};

use crate::power_levels::Power;

/// Why an event, a document or a request is not acceptable by the rules of Matrix.
///
/// The text of each is fit for the person who caused it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The room version is not one of 6 to 12.
    #[error("room version {0} is not supported")]
    UnsupportedRoomVersion(String),
    /// The bytes are not JSON at all (`M_NOT_JSON`).
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not what an event may contain or not of the expected shape (`M_BAD_JSON`).
    #[error("{0}")]
    BadJson(String),
    /// Something is longer than the specification allows (`M_TOO_LARGE`).
    #[error("{what} has {bytes} bytes, at most {bytes_max} are allowed")]
    TooLarge {
        /// What is too large: `event`, `sender`, `type`, ….
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A hash, a signature or a key is missing or wrong.
    #[error("{0}")]
    Signature(String),
    /// The sender's power does not suffice.
    #[error("{user} needs power level {needed} to {action}, has {has}")]
    PowerLevelTooLow {
        /// Who lacks power.
        user: OwnedUserId,
        /// What the user wanted, as a verb phrase: `send m.room.name`, `invite`, ….
        action: String,
        /// The level it needs.
        needed: Power,
        /// The level the user has.
        has: Power,
    },
    /// The acting user is not in the room.
    #[error("{user} is not in room {room_id}")]
    NotJoined {
        /// Who is not joined.
        user: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
    },
    /// The user is banned from the room.
    #[error("{user} is banned from room {room_id}")]
    Banned {
        /// Who is banned.
        user: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
    },
    /// The join rule demands an invitation that the user does not have.
    #[error("{user} is not invited to room {room_id}")]
    NotInvited {
        /// Who wants to join.
        user: OwnedUserId,
        /// The room.
        room_id: OwnedRoomId,
    },
    /// The target of an invite, kick or knock has the wrong membership for it.
    #[error("{user} has membership {membership} in this room: cannot {action}")]
    WrongMembership {
        /// Whose membership stands in the way.
        user: OwnedUserId,
        /// The present membership.
        membership: MembershipState,
        /// What was wanted: `be invited`, `leave`, ….
        action: &'static str,
    },
    /// One can only kick and ban who has less power.
    #[error("{user} has power level {has}, which is not more than the {target_has} of {target}")]
    TargetTooPowerful {
        /// Who acts.
        user: OwnedUserId,
        /// The level of who acts.
        has: Power,
        /// Whom it concerns.
        target: OwnedUserId,
        /// The level of whom it concerns.
        target_has: Power,
    },
    /// Any other authorization rule.
    #[error("{0}")]
    Authorization(String),
    /// State resolution lacked something.
    #[error("state resolution: {0}")]
    Resolution(String),
}

impl Refused {
    /// Whether this is a «no» of the authorization rules (`M_FORBIDDEN`), not a malformed input.
    pub fn is_authorization(&self) -> bool {
        matches!(
            self,
            Self::PowerLevelTooLow { .. }
                | Self::NotJoined { .. }
                | Self::Banned { .. }
                | Self::NotInvited { .. }
                | Self::WrongMembership { .. }
                | Self::TargetTooPowerful { .. }
                | Self::Authorization(_)
        )
    }
}

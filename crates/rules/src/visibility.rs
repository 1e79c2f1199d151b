//! Who may see an event. The one function that every reader asks.
//!
//! Spec: client-server API, «Room history visibility», «Server behaviour».

use ruma::{
    UserId,
    events::room::{history_visibility::HistoryVisibility, member::MembershipState},
};

use crate::event::Event;

/// What the state of a room at one point says about one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// `m.room.history_visibility`; [`HistoryVisibility::Shared`] where there is none.
    pub history_visibility: HistoryVisibility,
    /// The user's membership; [`MembershipState::Leave`] where there is none.
    pub membership: MembershipState,
}

/// Whether a user may see `event`.
///
/// `at` is the state that the event was sent into (before it); `after` the state with it, which differs from
/// `at` only for events that change it. `joined_later` says whether the user was joined at any point after the
/// event, up to now or to the end of what the reader is shown.
pub fn may_see(event: &Event, user: &UserId, at: &Standing, after: &Standing, joined_later: bool) -> bool {
    let kind = match event.event_type() {
        "m.room.history_visibility" if event.state_key() == Some("") => Kind::HistoryVisibility,
        "m.room.member" if event.state_key() == Some(user.as_str()) => Kind::OwnMembership,
        _ => Kind::Other,
    };
    may_see_kind(kind, at, after, joined_later)
}

/// What matters of an event to [`may_see_kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `m.room.history_visibility`: visible if the visibility before or after it allows.
    HistoryVisibility,
    /// The reader's own `m.room.member`: visible if the membership before or after it allows.
    OwnMembership,
    /// Every other event.
    Other,
}

/// [`may_see`] for who knows the kind of the event already.
pub fn may_see_kind(kind: Kind, at: &Standing, after: &Standing, joined_later: bool) -> bool {
    let allows = |visibility, membership| allows(visibility, membership, joined_later);
    allows(&at.history_visibility, &at.membership)
        || match kind {
            Kind::HistoryVisibility => allows(&after.history_visibility, &at.membership),
            Kind::OwnMembership => allows(&at.history_visibility, &after.membership),
            Kind::Other => false,
        }
}

/// The five rules of the specification, in its order.
fn allows(visibility: &HistoryVisibility, membership: &MembershipState, joined_later: bool) -> bool {
    match (visibility, membership) {
        (HistoryVisibility::WorldReadable, _) | (_, MembershipState::Join) => true,
        (HistoryVisibility::Shared, _) if joined_later => true,
        (HistoryVisibility::Invited, MembershipState::Invite) => true,
        _ => false,
    }
}

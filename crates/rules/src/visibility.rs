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
    /// `m.room.history_visibility`; [`HistoryVisibility::Shared`] where there is none or it is not understood.
    pub history_visibility: HistoryVisibility,
    /// The user's membership; [`MembershipState::Leave`] where there is none.
    pub membership: MembershipState,
}

/// Whether a user may see `event`.
///
/// `at` is the state that the event was sent into (before it); `after` the state with it, which differs from
/// `at` only for events that change it. `joined_later` says whether the user was joined at any point after the
/// event, up to now or to the end of what the reader is shown. Rejected and soft-failed events are not asked
/// about: nobody sees those.
pub fn may_see(event: &Event, user: &UserId, at: &Standing, after: &Standing, joined_later: bool) -> bool {
    may_see_kind(Kind::of(event, user), at, after, joined_later)
}

/// What matters of an event to [`may_see_kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `m.room.history_visibility`: visible if the visibility before or after it allows.
    HistoryVisibility,
    /// The reader's own `m.room.member`: always visible.
    OwnMembership,
    /// Every other event.
    Other,
}

impl Kind {
    /// The kind that `event` is for `user`.
    pub fn of(event: &Event, user: &UserId) -> Self {
        match event.state_place() {
            Some(("m.room.history_visibility", "")) => Self::HistoryVisibility,
            Some(("m.room.member", target)) if target == user.as_str() => Self::OwnMembership,
            _ => Self::Other,
        }
    }
}

/// [`may_see`] for who knows the kind of the event already.
pub fn may_see_kind(kind: Kind, at: &Standing, after: &Standing, joined_later: bool) -> bool {
    let allows = |visibility| allows(visibility, &at.membership, joined_later);
    match kind {
        // The letter wants the membership before or after to allow it, which hides from somebody who declines
        // an invitation that they did. It concerns them and tells them nothing about the room: they may know.
        Kind::OwnMembership => true,
        Kind::HistoryVisibility => allows(&at.history_visibility) || allows(&after.history_visibility),
        Kind::Other => allows(&at.history_visibility),
    }
}

/// The five rules of the specification, in its order.
fn allows(visibility: &HistoryVisibility, membership: &MembershipState, joined_later: bool) -> bool {
    match (visibility, membership) {
        (HistoryVisibility::WorldReadable, _) | (_, MembershipState::Join) => true,
        (HistoryVisibility::Invited, membership) => *membership == MembershipState::Invite,
        (HistoryVisibility::Joined, _) => false,
        // `shared`, and what nobody understands.
        _ => joined_later,
    }
}

//! Who may read what in a room: the state that [`rules::visibility`] decides by, for every reader.
//!
//! A [`Viewer`] is somebody who looks into one room. It knows what does not depend on the event;
//! [`Viewer::may_see`] looks at the state at each event, and only as far as the answer needs it.

use std::sync::Arc;

use parking_lot::Mutex;
use rules::{
    event::Event,
    state_tree::Root,
    visibility::{self, Kind, Standing},
};
use ruma::{
    OwnedUserId, RoomId, UserId,
    events::room::{history_visibility::HistoryVisibility, member::MembershipState},
};
use serde::Deserialize;
use store::members::Member;

use super::{Room, TimelineEvent, memory, state, timeline};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Somebody who looks into a room.
pub struct Viewer {
    user: Option<OwnedUserId>,
    /// Where the user stands; nowhere, if the room is forgotten.
    member: Option<Member>,
    /// The user was joined at some time after every event before this position.
    joined_until: i64,
    /// Up to here `member` says how it is.
    upto: i64,
    /// The user's membership in the state that was asked for last: neighbours share it.
    last: Mutex<Option<(Root, MembershipState)>>,
}

/// How much of a room somebody may read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The room as it is now.
    Now,
    /// The room as it was after the event at this position, when the user left.
    Until(i64),
}

/// The room `room_id` and `user` as who looks into it.
///
/// # Errors
/// `M_FORBIDDEN` if there is no such room, just as if it were closed to the user.
pub async fn look(home: &Home, room_id: &RoomId, user: Option<&UserId>) -> Answer<(Arc<Room>, Viewer)> {
    let room = match memory::find(home, room_id).await {
        Err(refusal) if refusal.status == 404 => return Err(not_in_room()),
        room => room?,
    };
    let viewer = Viewer::of(home, &room, user).await?;
    Ok((room, viewer))
}

fn not_in_room() -> Refusal {
    Refusal::forbidden("You are not in this room")
}

impl Viewer {
    /// `user`, or somebody without an account, looking into `room` now.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn of(home: &Home, room: &Room, user: Option<&UserId>) -> Answer<Self> {
        // In this order: what the row says may be newer than the position, never older.
        let upto = home.db.upto();
        let member = match user {
            Some(user) => store::members::get(&home.db, user.as_str(), room.key).await?,
            None => None,
        };
        Ok(Viewer::with(user, member, upto))
    }

    /// `user`, of whom `member` says where it stands in the room. `upto` is a position that was published
    /// before `member` was read.
    pub fn with(user: Option<&UserId>, member: Option<Member>, upto: i64) -> Self {
        let member = member.filter(|member| !member.forgotten);
        let joined_until = match &member {
            Some(member) if member.membership == "join" => upto.max(member.pos).saturating_add(1),
            Some(member) => member.joined_upto.unwrap_or(0),
            None => 0,
        };
        Viewer { user: user.map(ToOwned::to_owned), member, joined_until, upto, last: Mutex::new(None) }
    }

    /// Who looks.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_deref()
    }

    /// The user's membership now, unless the room is forgotten or the user was never mentioned in it.
    pub fn membership_now(&self) -> Option<&str> {
        self.member.as_ref().map(|member| &*member.membership)
    }

    /// Whether the user is joined now.
    pub fn is_joined(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.membership == "join")
    }

    /// The newest position of which the user may know at all that something was there. An upper bound:
    /// what of it, [`Viewer::may_see`] decides.
    pub fn horizon(&self, home: &Home) -> i64 {
        match self.joined_until {
            // Whoever never was in reads only where everybody may.
            0 => home.db.upto(),
            _ if self.is_joined() => home.db.upto(),
            left_at => left_at,
        }
    }

    /// How much of the room the user may read at all; what of it, [`Viewer::may_see`] decides.
    ///
    /// # Errors
    /// `M_FORBIDDEN`
    pub async fn reach(&self, home: &Home, room: &Room) -> Answer<Reach> {
        if self.is_joined() {
            return Ok(Reach::Now);
        }
        let now = timeline::root_at(home, room, home.db.upto()).await?;
        if history_visibility(home, room, now).await? == HistoryVisibility::WorldReadable {
            return Ok(Reach::Now);
        }
        match self.joined_until {
            0 => Err(not_in_room()),
            left_at => Ok(Reach::Until(left_at)),
        }
    }

    /// The state that the user may read: the present one for members and where everybody may look, the one
    /// they left behind for those who left.
    ///
    /// # Errors
    /// `M_FORBIDDEN`
    pub async fn state_view(&self, home: &Home, room: &Room) -> Answer<Root> {
        let upto = match self.reach(home, room).await? {
            Reach::Now => home.db.upto(),
            Reach::Until(left_at) => left_at,
        };
        timeline::root_at(home, room, upto).await
    }

    /// Whether the user may see `event`.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn may_see(&self, home: &Home, room: &Room, event: &TimelineEvent) -> Answer<bool> {
        if event.hidden {
            return Ok(false);
        }
        let kind = self.kind_of(&event.event);
        let joined_later = event.pos < self.joined_until;
        let before = visibility_before(home, room, event).await?;
        match before {
            // Whatever the membership is.
            HistoryVisibility::WorldReadable => return Ok(true),
            HistoryVisibility::Shared if joined_later => return Ok(true),
            _ if kind == Kind::OwnMembership => return Ok(true),
            _ => {}
        }
        let membership = self.before(home, room, event).await?;
        let at = Standing { history_visibility: before, membership };
        let mut after = at.clone();
        if kind == Kind::HistoryVisibility {
            after.history_visibility = history_visibility(home, room, event.root).await?;
        }
        Ok(visibility::may_see_kind(kind, &at, &after, joined_later))
    }

    /// Those of `events` that the user may see, in the same order.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn filter(
        &self,
        home: &Home,
        room: &Room,
        events: Vec<Arc<TimelineEvent>>,
    ) -> Answer<Vec<Arc<TimelineEvent>>> {
        let mut seen = Vec::with_capacity(events.len());
        for event in events {
            if self.may_see(home, room, &event).await? {
                seen.push(event);
            }
        }
        Ok(seen)
    }

    /// The user's membership once `event` had happened: what `unsigned.membership` tells. `None` for who
    /// has no account.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn membership_at(
        &self,
        home: &Home,
        room: &Room,
        event: &TimelineEvent,
    ) -> Answer<Option<MembershipState>> {
        let Some(user) = &self.user else { return Ok(None) };
        match &self.member {
            Some(member) if member.pos <= event.pos && event.pos <= self.upto => {
                Ok(Some(MembershipState::from(&*member.membership)))
            }
            _ => self.membership(home, room, user, event.root).await.map(Some),
        }
    }

    /// Whether the user was joined when `event` came, and so knew the state before it.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn was_joined_before(&self, home: &Home, room: &Room, event: &TimelineEvent) -> Answer<bool> {
        match &self.member {
            Some(member) if member.pos < event.pos && event.pos <= self.upto => Ok(self.is_joined()),
            _ => Ok(self.before(home, room, event).await? == MembershipState::Join),
        }
    }

    fn kind_of(&self, event: &Event) -> Kind {
        match (&self.user, event.state_place()) {
            (Some(user), _) => Kind::of(event, user),
            (None, Some(("m.room.history_visibility", ""))) => Kind::HistoryVisibility,
            (None, _) => Kind::Other,
        }
    }

    /// The user's membership in the state that `event` was sent into.
    async fn before(&self, home: &Home, room: &Room, event: &TimelineEvent) -> Answer<MembershipState> {
        let Some(user) = &self.user else { return Ok(MembershipState::Leave) };
        if self.kind_of(&event.event) != Kind::OwnMembership {
            return self.membership(home, room, user, event.root).await;
        }
        Ok(match &event.replaces {
            Some(replaced) => membership_in(&*state::event_by_id(home, room, replaced).await?),
            None => MembershipState::Leave,
        })
    }

    /// The user's membership in the state `root`.
    async fn membership(
        &self,
        home: &Home,
        room: &Room,
        user: &UserId,
        root: Root,
    ) -> Answer<MembershipState> {
        if self.member.is_none() {
            // Never mentioned, or forgotten.
            return Ok(MembershipState::Leave);
        }
        if let Some((_, membership)) = self.last.lock().as_ref().filter(|(at, _)| *at == root) {
            return Ok(membership.clone());
        }
        let event = state::event(home, room, root, "m.room.member", user.as_str()).await?;
        let membership = event.map_or(MembershipState::Leave, |event| membership_in(&event));
        *self.last.lock() = Some((root, membership.clone()));
        Ok(membership)
    }
}

/// The history visibility that `event` was sent into.
async fn visibility_before(home: &Home, room: &Room, event: &TimelineEvent) -> Answer<HistoryVisibility> {
    match (event.event.state_place(), &event.replaces) {
        (Some(("m.room.history_visibility", "")), Some(replaced)) => {
            Ok(visibility_in(&*state::event_by_id(home, room, replaced).await?))
        }
        (Some(("m.room.history_visibility", "")), None) => Ok(HistoryVisibility::Shared),
        _ => history_visibility(home, room, event.root).await,
    }
}

/// The history visibility in the state `root`.
///
/// # Errors
/// If the database does not answer.
pub async fn history_visibility(home: &Home, room: &Room, root: Root) -> Answer<HistoryVisibility> {
    if let Some(known) = home.rooms.visibilities.get(&root) {
        return Ok(known);
    }
    let event = state::event(home, room, root, "m.room.history_visibility", "").await?;
    let found = event.map_or(HistoryVisibility::Shared, |event| visibility_in(&event));
    home.rooms.visibilities.insert(root, found.clone());
    Ok(found)
}

/// What a history visibility event says; what is not understood is `shared`.
fn visibility_in(event: &Event) -> HistoryVisibility {
    #[derive(Deserialize)]
    struct Content {
        history_visibility: HistoryVisibility,
    }
    match event.content_as::<Content>().map(|content| content.history_visibility) {
        Ok(HistoryVisibility::WorldReadable) => HistoryVisibility::WorldReadable,
        Ok(HistoryVisibility::Invited) => HistoryVisibility::Invited,
        Ok(HistoryVisibility::Joined) => HistoryVisibility::Joined,
        _ => HistoryVisibility::Shared,
    }
}

/// What a member event says.
fn membership_in(event: &Event) -> MembershipState {
    #[derive(Deserialize)]
    struct Content {
        membership: MembershipState,
    }
    event.content_as::<Content>().map_or(MembershipState::Leave, |content| content.membership)
}

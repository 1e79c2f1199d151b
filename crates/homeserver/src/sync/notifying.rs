//! Which events notify a user, one by one: for pushers and for the list of notifications.
//!
//! The same judge as for the counts of [`unread`](super::unread), asked for what is to be done.

use std::sync::Arc;

use ruma::{
    UserId,
    push::{Action, Ruleset},
};
use store::members::Member;

use super::unread::{self, Judge, Unread};
use crate::{
    Home,
    receipts::thread_of,
    refusal::Answer,
    rooms::{Room, TimelineEvent, visibility::Viewer},
};

/// An event that notifies a user.
pub(crate) struct Notifying {
    /// The event.
    pub(crate) event: Arc<TimelineEvent>,
    /// What is to be done about it.
    pub(crate) actions: Vec<Action>,
    /// Whether the user has read it.
    pub(crate) read: bool,
}

/// A member of a room, who is to be notified.
pub(crate) struct Notified<'a> {
    /// The room.
    pub(crate) room: &'a Room,
    /// Where the user stands in it.
    pub(crate) member: &'a Member,
    /// The user.
    pub(crate) user: &'a UserId,
    /// Rules that go before those for all the user's clients.
    pub(crate) first: Option<&'a Ruleset>,
    /// By the state at this position.
    pub(crate) upto: i64,
}

/// What was found among events.
pub(crate) struct Found {
    /// What notifies, in stream order.
    pub(crate) notifying: Vec<Notifying>,
    /// Whether the user came into the room with one of the events: there is nothing before it.
    pub(crate) begins: bool,
}

/// Those of `events`, which are in stream order, that notify somebody who is joined, since they came, and
/// that they may see.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn among(
    home: &Home,
    who: &Notified<'_>,
    unread: &Unread,
    events: &[Arc<TimelineEvent>],
) -> Answer<Found> {
    let mut stay = 0;
    for (index, event) in events.iter().enumerate().rev() {
        if unread::begins_stay(home, who.room, event, who.user).await? {
            stay = index + 1;
            break;
        }
    }
    let judge = Judge::of(home, who.room, who.member, who.user, who.upto).await?;
    let viewer = Viewer::with(Some(who.user), Some(who.member.clone()), who.upto);
    let mut notifying = Vec::new();
    for event in &events[stay..] {
        let Some(actions) = notifies(&judge, who, event) else { continue };
        if !viewer.may_see(home, who.room, event).await? {
            continue;
        }
        let thread = thread_of(home, who.room, event).await?;
        let read = unread.covers(event.pos, thread.as_ref().map(|thread| thread.as_str()));
        notifying.push(Notifying { event: event.clone(), actions, read });
    }
    Ok(Found { notifying, begins: stay > 0 })
}

/// The event with which the user was invited, if it notifies.
///
/// # Errors
/// If the database does not answer.
pub(crate) async fn invite(
    home: &Home,
    who: &Notified<'_>,
    event: Arc<TimelineEvent>,
) -> Answer<Option<Notifying>> {
    let judge = Judge::of(home, who.room, who.member, who.user, who.upto).await?;
    let viewer = Viewer::with(Some(who.user), Some(who.member.clone()), who.upto);
    let Some(actions) = notifies(&judge, who, &event) else { return Ok(None) };
    let seen = viewer.may_see(home, who.room, &event).await?;
    Ok(seen.then_some(Notifying { event, actions, read: false }))
}

fn notifies(judge: &Judge<'_>, who: &Notified<'_>, event: &TimelineEvent) -> Option<Vec<Action>> {
    // Of what was redacted there is nothing to tell.
    let is_there = !event.hidden && event.redacted_by.is_none();
    let actions = if is_there { judge.actions(event, who.first) } else { None };
    actions.filter(|actions| rules::push::outcome(actions).notify).map(<[Action]>::to_vec)
}

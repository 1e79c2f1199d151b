//! `/messages`: pages of a room's history.
//!
//! A page is bounded by what is found and by what is looked at; the token it ends with is the place
//! where the search stopped, so that a stretch of events which are hidden or filtered away never ends
//! the history (CVE-2026-45076).

use std::{collections::HashSet, sync::Arc};

use rules::{filter::EventFilter, state_tree::Root};
use ruma::{OwnedEventId, RoomId, UserId, api::Direction, api::client::filter::LazyLoadOptions};

use store::relations::Children;

use super::{
    Room, TimelineEvent,
    show::{self, Form, Shown},
    state, timeline,
    visibility::{self, Reach, Viewer},
};
use crate::{Home, Token, refusal::Answer, settings};

/// Events on a page.
pub const PAGE_EVENTS_MAX: usize = 250;

/// Events that are looked at for one page.
const SCANNED_EVENTS_MAX: usize = 2_000;

/// Events that are read at once.
const READ_EVENTS_MAX: usize = 250;

/// Which stretch of a room's history somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// Forwards or backwards.
    pub direction: Direction,
    /// Where it begins.
    pub from: Token,
    /// Where it ends at the latest.
    pub to: Token,
}

/// Which events of a room somebody walks along.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// All of them.
    Timeline,
    /// Those that point to another event.
    Children(Children<'a>),
    /// Those at these positions, which are in order.
    Picked(&'a [i64]),
}

/// Events as they were met on a walk through a room.
pub struct Walked {
    /// Those that the viewer may see and wants.
    pub events: Vec<Arc<TimelineEvent>>,
    /// Where to go on; `None` at the end of the history.
    pub end: Option<Token>,
}

/// A page, as clients get it.
pub struct Page {
    /// Where it begins.
    pub start: Token,
    /// Where the next one begins, unless this is the last.
    pub end: Option<Token>,
    /// Where the last one ends.
    pub last: Token,
    /// The events.
    pub chunk: Vec<Shown>,
    /// The members who sent them, if members are loaded lazily.
    pub state: Vec<Shown>,
}

/// What a client asks `/messages`.
pub struct Wanted<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// Forwards or backwards.
    pub direction: Direction,
    /// Where to begin; at the end of the room that lies in the other direction, if absent.
    pub from: Option<Token>,
    /// Where to end.
    pub to: Option<Token>,
    /// How many events at most.
    pub limit: usize,
    /// Which events.
    pub filter: &'a EventFilter,
    /// In which form.
    pub form: Form<'a>,
}

/// A page of a room's history, for `user`.
///
/// # Errors
/// `M_FORBIDDEN` if the user may not look into the room.
pub async fn page(home: &Home, user: &UserId, wanted: Wanted<'_>) -> Answer<Page> {
    let (room, viewer) = visibility::look(home, wanted.room_id, Some(user)).await?;
    let newest = match viewer.reach(home, &room).await? {
        Reach::Now => home.db.upto(),
        Reach::Until(left_at) => left_at,
    };
    let stretch = stretch(&room, &wanted, Token::after(newest));
    let limit = wanted.limit.min(PAGE_EVENTS_MAX);
    let walked = walk(home, &room, &viewer, Source::Timeline, stretch, limit, wanted.filter).await?;
    let form = wanted.form;
    let chunk = show::events(home, &room, &viewer, &walked.events, form).await?;
    let members = match wanted.filter.lazy_load {
        LazyLoadOptions::Enabled { .. } => members_of(home, &room, &walked.events).await?,
        LazyLoadOptions::Disabled => Vec::new(),
    };
    let state = show::state(home, &members, form);
    let start = wanted.from.unwrap_or(stretch.from);
    Ok(Page { start, end: walked.end, last: stretch.to, chunk, state })
}

/// The stretch that is wanted, within the room and what the viewer reaches of it.
fn stretch(room: &Room, wanted: &Wanted<'_>, newest: Token) -> Stretch {
    let oldest = Token::before(room.key);
    let within = |token: Token| token.clamp(oldest, newest);
    let (from, to) = match wanted.direction {
        Direction::Backward => (newest, oldest),
        Direction::Forward => (oldest, newest),
    };
    Stretch {
        direction: wanted.direction,
        from: wanted.from.map_or(from, within),
        to: wanted.to.map_or(to, within),
    }
}

impl Source<'_> {
    /// Events at or before `upto`, newest first.
    async fn before(
        self,
        home: &Home,
        room: &Room,
        upto: i64,
        limit: usize,
    ) -> Answer<Vec<Arc<TimelineEvent>>> {
        match self {
            Source::Timeline => timeline::before(home, room, upto, limit).await,
            Source::Children(of) => {
                let read = store::relations::before(&home.db, of, upto, limit as i64).await?;
                timeline::read_all(read, room)
            }
            Source::Picked(positions) => {
                let end = positions.partition_point(|pos| *pos <= upto);
                let mut events = timeline::at(home, room, &positions[end.saturating_sub(limit)..end]).await?;
                events.reverse();
                Ok(events)
            }
        }
    }

    /// Events after `since` and at or before `upto`, oldest first.
    async fn after(
        self,
        home: &Home,
        room: &Room,
        since: i64,
        upto: i64,
        limit: usize,
    ) -> Answer<Vec<Arc<TimelineEvent>>> {
        match self {
            Source::Timeline => timeline::after(home, room, since, upto, limit).await,
            Source::Children(of) => {
                let read = store::relations::after(&home.db, of, since, upto, limit as i64).await?;
                timeline::read_all(read, room)
            }
            Source::Picked(positions) => {
                let begin = positions.partition_point(|pos| *pos <= since);
                let end = positions.partition_point(|pos| *pos <= upto).min(begin + limit);
                timeline::at(home, room, positions.get(begin..end).unwrap_or_default()).await
            }
        }
    }
}

/// Walks along a stretch and gathers at most `limit` events that `viewer` may see and `filter` admits.
///
/// # Errors
/// If the database does not answer.
pub async fn walk(
    home: &Home,
    room: &Room,
    viewer: &Viewer,
    source: Source<'_>,
    stretch: Stretch,
    limit: usize,
    filter: &EventFilter,
) -> Answer<Walked> {
    let Stretch { direction, from, to } = stretch;
    let mut walked = Walked { events: Vec::new(), end: None };
    if filter.admits_nothing() || !filter.admits_room(&room.room_id) {
        return Ok(walked);
    }
    let settings = match viewer.user() {
        Some(user) => Some(settings::of(home, user).await?),
        None => None,
    };
    let wanted = |event: &TimelineEvent| {
        filter.admits(&event.event) && !settings.as_ref().is_some_and(|own| own.hides(&event.event))
    };
    let (mut at, mut scanned) = (from.pos, 0);
    // One more than wanted, to know whether there is more.
    let mut reading = (limit + 1).min(READ_EVENTS_MAX);
    loop {
        let read = match direction {
            Direction::Backward => source.before(home, room, at, reading).await?,
            Direction::Forward => source.after(home, room, at, to.pos, reading).await?,
        };
        let is_last = read.len() < reading;
        for event in read {
            if direction == Direction::Backward && event.pos <= to.pos {
                return Ok(walked);
            }
            if walked.events.len() >= limit || scanned >= SCANNED_EVENTS_MAX {
                walked.end = Some(Token::after(at));
                return Ok(walked);
            }
            scanned += 1;
            at = match direction {
                Direction::Backward => event.pos - 1,
                Direction::Forward => event.pos,
            };
            if wanted(&event) && viewer.may_see(home, room, &event).await? {
                walked.events.push(event);
            }
        }
        if is_last {
            return Ok(walked);
        }
        reading = READ_EVENTS_MAX;
    }
}

/// The member events of those who sent `events`, each as it was at the first of theirs.
///
/// # Errors
/// If the database does not answer.
pub async fn members_of(
    home: &Home,
    room: &Room,
    events: &[Arc<TimelineEvent>],
) -> Answer<Vec<Arc<rules::event::Event>>> {
    let mut senders = HashSet::new();
    let mut members: Vec<OwnedEventId> = Vec::new();
    for event in events {
        let sender = event.event.sender();
        if senders.insert(sender) {
            members.extend(member(home, event.root, sender).await?);
        }
    }
    state::events_by_id(home, room, &members).await
}

async fn member(home: &Home, root: Root, user: &UserId) -> Answer<Option<OwnedEventId>> {
    state::get(home, root, "m.room.member", user.as_str()).await
}

//! The newest events of a room that a client has not seen yet.

use std::sync::Arc;

use rules::state_tree::Root;

use super::look::Look;
use crate::{
    refusal::Answer,
    rooms::{Room, TimelineEvent, timeline, visibility::Viewer},
};

/// Events that are looked at for one timeline: what lies further back is paged for.
const SCAN_MAX: usize = 1_000;

/// Events that are read at once.
const PAGE_EVENTS: usize = 100;

/// What a client gets of a room's timeline.
pub(super) struct Timeline {
    /// The events, oldest first.
    pub(super) events: Vec<Arc<TimelineEvent>>,
    /// Whether there are more between those that the client knows and these.
    pub(super) limited: bool,
    /// The position right before the first event: from here the client pages back.
    pub(super) start: i64,
    /// The state before the first event; `None` if it is the state at the position that the client knows.
    pub(super) before: Option<Root>,
    /// The state after the newest event up to the end; `None` if nothing happened.
    pub(super) after: Option<Root>,
}

/// The stretch of a room that a timeline is cut from.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    /// Up to here the client knows the room; 0 if it knows nothing of it.
    pub(super) since: i64,
    /// To here.
    pub(super) upto: i64,
    /// Whether the user was joined all the time, and may see everything.
    pub(super) all_visible: bool,
}

/// Cuts the timeline of a room.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn cut(look: &Look, room: &Room, viewer: &Viewer, stretch: Stretch) -> Answer<Timeline> {
    let mut cutting = Cutting {
        limit: look.ask.filter.timeline_limit(),
        timeline: Timeline {
            events: Vec::new(),
            limited: false,
            start: stretch.upto,
            before: None,
            after: None,
        },
        wants_before: true,
    };
    let mut source = Source { cursor: stretch.upto, stretch, scanned: 0 };
    'scan: loop {
        let page = source.page(look, room, cutting.limit).await?;
        for event in &page.newest_first {
            let admitted = look.ask.filter.timeline.admits(&event.event)
                && !event.hidden
                && !look.settings.hides(&event.event);
            let shown = admitted
                && (stretch.all_visible
                    || is_own_membership(look, event)
                    || viewer.may_see(&look.home, room, event).await?);
            if cutting.add(event, shown) {
                break 'scan;
            }
        }
        if page.is_last {
            break;
        }
        if source.scanned >= SCAN_MAX {
            cutting.timeline.limited = true;
            break;
        }
    }
    let mut timeline = cutting.timeline;
    timeline.events.reverse();
    if cutting.wants_before && !timeline.limited {
        timeline.before = None;
    }
    Ok(timeline)
}

/// Users always learn what becomes of themselves.
fn is_own_membership(look: &Look, event: &TimelineEvent) -> bool {
    event.event.state_place() == Some(("m.room.member", look.user().as_str()))
}

/// A timeline that grows backwards.
struct Cutting {
    limit: usize,
    timeline: Timeline,
    /// Whether the event before the first is still to come.
    wants_before: bool,
}

impl Cutting {
    /// Takes the next older event; answers whether the timeline is complete.
    fn add(&mut self, event: &Arc<TimelineEvent>, shown: bool) -> bool {
        let timeline = &mut self.timeline;
        timeline.after.get_or_insert(event.root);
        if self.wants_before {
            // The state after this event is the state before the one that came after it.
            timeline.before = Some(event.root);
            self.wants_before = false;
        }
        if !shown {
            return false;
        }
        if timeline.events.len() >= self.limit {
            timeline.limited = true;
            return true;
        }
        timeline.start = event.pos - 1;
        timeline.events.push(event.clone());
        self.wants_before = true;
        false
    }
}

/// Where the events come from: memory if they are there, else the database page by page.
struct Source {
    cursor: i64,
    stretch: Stretch,
    scanned: usize,
}

struct Page {
    newest_first: Vec<Arc<TimelineEvent>>,
    is_last: bool,
}

impl Source {
    async fn page(&mut self, look: &Look, room: &Room, limit: usize) -> Answer<Page> {
        let Stretch { since, upto, .. } = self.stretch;
        if self.scanned == 0
            && let Some(mut events) = room.tail.between(since, upto)
        {
            events.reverse();
            self.scanned += events.len();
            return Ok(Page { newest_first: events, is_last: true });
        }
        // One more than is shown tells whether there are more.
        let count = if self.scanned == 0 { limit + 1 } else { PAGE_EVENTS };
        let mut events = timeline::before(&look.home, room, self.cursor, count).await?;
        let mut is_last = events.len() < count;
        self.scanned += events.len();
        if let Some(oldest) = events.last() {
            self.cursor = oldest.pos - 1;
        }
        if let Some(known) = events.iter().position(|event| event.pos <= since) {
            events.truncate(known);
            is_last = true;
        }
        Ok(Page { newest_first: events, is_last })
    }
}

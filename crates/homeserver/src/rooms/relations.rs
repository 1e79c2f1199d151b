//! What points to an event: `/relations`, `/threads`, and what may point where.
//!
//! Spec: client-server API, «Forming relationships between events».

use std::{collections::HashMap, sync::Arc};

use rules::{event::Event, filter::EventFilter};
use ruma::{DeviceId, EventId, OwnedEventId, RoomId, UserId, api::Direction};
use serde::Deserialize;
use store::relations::Children;

use super::{
    Room, TimelineEvent, aggregations, context,
    effects::text_or_nothing,
    erased,
    messages::{self, PAGE_EVENTS_MAX, Source, Stretch},
    show::{self, Form, Shown},
    timeline, visibility,
};
use crate::{
    Home, Token,
    refusal::{Answer, Refusal},
    settings,
};

/// Events on a page if the client does not say.
pub const PAGE_EVENTS: usize = 50;

/// How far `recurse` follows relations.
const DEPTH_MAX: u64 = 4;

/// Events that `recurse` gathers.
const GATHERED_EVENTS_MAX: usize = 5_000;

/// Threads that are looked at for one page.
const SCANNED_THREADS_MAX: usize = 500;

/// Annotations of one user to one event that are compared with a new one.
const ANNOTATIONS_MAX: i64 = 200;

/// What a client asks `/relations`.
pub struct Wanted<'a> {
    /// The room.
    pub room_id: &'a RoomId,
    /// The event that others point to.
    pub event_id: &'a EventId,
    /// How they relate to it; in any way, if absent.
    pub rel_type: Option<&'a str>,
    /// Their type; any, if absent.
    pub event_type: Option<&'a str>,
    /// Forwards or backwards.
    pub direction: Direction,
    /// Where to begin.
    pub from: Option<Token>,
    /// Where to end.
    pub to: Option<Token>,
    /// How many events at most.
    pub limit: usize,
    /// Whether to include what points to those in turn.
    pub recurse: bool,
}

/// A page of events that point to another.
pub struct Page {
    /// The events.
    pub chunk: Vec<Shown>,
    /// Where the next page begins, unless this is the last.
    pub next: Option<Token>,
    /// How far relations were followed, if that was asked.
    pub recursion_depth: Option<u64>,
}

/// The events that point to one, a page of them.
///
/// # Errors
/// `M_NOT_FOUND` if `user` may not see the event that they point to.
pub async fn page(home: &Home, user: &UserId, device: &DeviceId, wanted: Wanted<'_>) -> Answer<Page> {
    let (room, viewer, parent) = context::find(home, user, wanted.room_id, wanted.event_id).await?;
    let parent_id = parent.event.event_id().as_str();
    let (oldest, newest) = (Token::before(room.key), Token::after(home.db.upto()));
    let (begin, end) = match wanted.direction {
        Direction::Backward => (newest, oldest),
        Direction::Forward => (oldest, newest),
    };
    let within = |token: Token| token.clamp(oldest, newest);
    let stretch = Stretch {
        direction: wanted.direction,
        from: wanted.from.map_or(begin, within),
        to: wanted.to.map_or(end, within),
    };
    let (gathered, depth);
    let source = if wanted.recurse {
        (gathered, depth) = gather(home, &room, &wanted).await?;
        Source::Picked(&gathered)
    } else {
        depth = 0;
        let Wanted { rel_type, event_type, .. } = wanted;
        Source::Children(Children { room: room.key, parent: parent_id, rel_type, event_type })
    };
    let (limit, all) = (wanted.limit.min(PAGE_EVENTS_MAX), EventFilter::default());
    let walked = messages::walk(home, &room, &viewer, source, stretch, limit, &all).await?;
    let chunk = show::events(home, &room, &viewer, &walked.events, Form::whole(Some(device))).await?;
    Ok(Page { chunk, next: walked.end, recursion_depth: wanted.recurse.then_some(depth) })
}

/// The positions of all events that point to one over up to [`DEPTH_MAX`] steps, in stream order, and how
/// many steps there were.
async fn gather(home: &Home, room: &Room, wanted: &Wanted<'_>) -> Answer<(Vec<i64>, u64)> {
    let mut found: HashMap<i64, bool> = HashMap::new();
    let mut parents = vec![wanted.event_id.to_string()];
    let mut depth = 0;
    while depth < DEPTH_MAX && !parents.is_empty() && found.len() < GATHERED_EVENTS_MAX {
        let limit = i64::try_from(GATHERED_EVENTS_MAX - found.len()).unwrap_or(i64::MAX);
        let children = store::relations::of_all(&home.db, room.key, &parents, limit).await?;
        parents.clear();
        for child in children {
            let is_wanted = wanted.rel_type.is_none_or(|rel_type| rel_type == child.rel_type)
                && wanted.event_type.is_none_or(|event_type| event_type == child.event_type);
            if found.insert(child.pos, is_wanted).is_none() {
                parents.push(child.event_id);
            }
        }
        depth += u64::from(!parents.is_empty());
    }
    let mut positions: Vec<i64> =
        found.into_iter().filter(|(_, is_wanted)| *is_wanted).map(|(pos, _)| pos).collect();
    positions.sort_unstable();
    Ok((positions, depth))
}

/// The roots of a room's threads, those with the newest events first; `participated` leaves out threads in
/// which `user` wrote nothing.
///
/// # Errors
/// `M_FORBIDDEN` if the user may not look into the room.
pub async fn threads(
    home: &Home,
    (user, device): (&UserId, &DeviceId),
    room_id: &RoomId,
    from: Option<Token>,
    limit: usize,
    participated: bool,
) -> Answer<(Vec<Shown>, Option<Token>)> {
    let (room, viewer) = visibility::look(home, room_id, Some(user)).await?;
    viewer.reach(home, &room).await?;
    let settings = settings::of(home, user).await?;
    let limit = limit.min(PAGE_EVENTS_MAX);
    let (mut at, mut scanned) = (from.map_or(i64::MAX, |token| token.pos), 0);
    let mut roots: Vec<Arc<TimelineEvent>> = Vec::new();
    let mut next = None;
    'pages: loop {
        let reading = PAGE_EVENTS_MAX;
        let read = store::relations::threads(&home.db, room.key, at, reading as i64).await?;
        let is_last = read.len() < reading;
        let mut events = by_id(home, &room, read.iter().map(|(root, _)| root)).await?;
        let taking_part = aggregations::taking_part(home, &room, &viewer, events.values()).await?;
        for (root, latest) in read {
            if roots.len() >= limit || scanned >= SCANNED_THREADS_MAX {
                next = Some(Token::after(at));
                break 'pages;
            }
            scanned += 1;
            at = latest - 1;
            let Some(event) = events.remove(&*root) else { continue };
            let is_wanted = !participated || taking_part.contains(event.event.event_id());
            if is_wanted && viewer.may_see(home, &room, &event).await? {
                // Of a thread that an ignored user began, the beginning is told as if it were redacted.
                let hidden = settings.hides(&event.event);
                roots.push(if hidden { erased::pruned(&room, &event)? } else { event });
            }
        }
        if is_last {
            break;
        }
    }
    let chunk = show::events(home, &room, &viewer, &roots, Form::whole(Some(device))).await?;
    Ok((chunk, next))
}

/// The events of `room` with these ids.
async fn by_id(
    home: &Home,
    room: &Room,
    ids: impl Iterator<Item = &String>,
) -> Answer<HashMap<String, Arc<TimelineEvent>>> {
    let ids: Vec<OwnedEventId> = ids.filter_map(|id| EventId::parse(id).ok()).collect();
    let events = timeline::by_ids(home, room, &ids).await?;
    Ok(events.into_iter().map(|event| (event.event.event_id().to_string(), event)).collect())
}

/// How an event points to another.
#[derive(Debug, Default, Deserialize)]
pub struct RelatesTo {
    /// In which way.
    pub rel_type: Option<String>,
    /// To which event.
    pub event_id: Option<OwnedEventId>,
    /// With which annotation.
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub key: Option<String>,
}

/// Reads `m.relates_to`; nothing, if it is absent or malformed.
pub(super) fn relates_to(event: &Event) -> RelatesTo {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Option<RelatesTo>,
    }
    // The key is there as text before it can be there as a key.
    if !event.content_str().contains(r#""m.relates_to""#) {
        return RelatesTo::default();
    }
    event.content_as::<Content>().ok().and_then(|content| content.relates_to).unwrap_or_default()
}

/// Refuses an event that relates to another as it should not: a thread within a thread, or the same
/// annotation twice. Asked once the sender is allowed to say it, so that nobody learns more of a room
/// from a refusal than from reading it.
///
/// # Errors
/// `M_UNKNOWN`, `M_DUPLICATE_ANNOTATION`
pub(super) async fn check(home: &Home, room: &Room, event: &Event) -> Answer<()> {
    if event.state_key().is_some() {
        return Ok(());
    }
    let relation = relates_to(event);
    let Some(target) = relation.event_id else { return Ok(()) };
    match (relation.rel_type.as_deref(), relation.key) {
        (Some("m.thread"), _) if begins_no_thread(home, room, event.sender(), &target).await? => {
            Err(Refusal::unknown("A thread can not begin at an event that relates to another"))
        }
        (Some("m.annotation"), Some(key)) if has_annotated(home, room, event, &target, &key).await? => {
            let message = "You have annotated this event with the same key already";
            Err(Refusal::new(400, "M_DUPLICATE_ANNOTATION", message))
        }
        _ => Ok(()),
    }
}

/// Whether `user` may see that `target` relates to another event, and so begins no thread.
async fn begins_no_thread(home: &Home, room: &Room, user: &UserId, target: &EventId) -> Answer<bool> {
    let Some(root) = timeline::get(home, room, target).await? else { return Ok(false) };
    if relates_to(&root.event).rel_type.is_none() {
        return Ok(false);
    }
    visibility::Viewer::of(home, room, Some(user)).await?.may_see(home, room, &root).await
}

/// Whether the sender of `event` has annotated `target` with `key` already, by an event of the same type.
async fn has_annotated(home: &Home, room: &Room, event: &Event, target: &EventId, key: &str) -> Answer<bool> {
    let own = store::relations::annotations(
        &home.db,
        room.key,
        target.as_str(),
        event.event_type(),
        event.sender().as_str(),
        ANNOTATIONS_MAX,
    );
    let own = timeline::read_all(own.await?, room)?;
    let keys = own.iter().map(|event| relates_to(&event.event).key);
    Ok(keys.flatten().any(|own| own == key))
}

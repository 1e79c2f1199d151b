//! One event, and what surrounds it.

use std::{collections::HashSet, sync::Arc};

use rules::{event::Event, filter::EventFilter, state_tree::Root};
use ruma::{
    DeviceId, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, UserId, api::Direction,
    api::client::filter::LazyLoadOptions,
};

use super::{
    Room, TimelineEvent, memory,
    messages::{self, Source, Stretch},
    show::{self, Form, Shown},
    state, timeline,
    visibility::{self, Viewer},
};
use crate::{
    Home, Token,
    refusal::{Answer, Refusal},
};

/// Events before and after an event, together.
const CONTEXT_EVENTS_MAX: usize = 200;

/// Events that are looked at to find the one nearest to a time: first few, for mostly the first will do.
const NEAREST_SCANNED: [i64; 2] = [4, 500];

/// An event with its surroundings.
pub struct Context {
    /// Where to go on backwards.
    pub start: Token,
    /// Where to go on forwards.
    pub end: Token,
    /// Events before it, newest first.
    pub before: Vec<Shown>,
    /// The event.
    pub event: Shown,
    /// Events after it, oldest first.
    pub after: Vec<Shown>,
    /// The state at the last of these events.
    pub state: Vec<Shown>,
}

fn unknown() -> Refusal {
    Refusal::not_found("There is no such event, or you may not see it")
}

/// An event that `user` may see, with who looks at it.
///
/// # Errors
/// `M_NOT_FOUND` if there is none or the user may not see it.
pub async fn find(
    home: &Home,
    user: &UserId,
    room_id: &RoomId,
    event_id: &EventId,
) -> Answer<(Arc<Room>, Viewer, Arc<TimelineEvent>)> {
    let looked = visibility::look(home, room_id, Some(user)).await;
    let (room, viewer) = looked.map_err(|refusal| if refusal.status == 403 { unknown() } else { refusal })?;
    let event = timeline::get(home, &room, event_id).await?.ok_or_else(unknown)?;
    if !viewer.may_see(home, &room, &event).await? {
        return Err(unknown());
    }
    Ok((room, viewer, Arc::new(event)))
}

/// One event.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn event(
    home: &Home,
    user: &UserId,
    device: &DeviceId,
    room_id: &RoomId,
    event_id: &EventId,
) -> Answer<Shown> {
    let (room, viewer, event) = find(home, user, room_id, event_id).await?;
    show::event(home, &room, &viewer, &event, Form::whole(Some(device))).await
}

/// One event, in whatever room it is.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn anywhere(home: &Home, user: &UserId, event_id: &EventId, form: Form<'_>) -> Answer<Shown> {
    let stored = store::events::by_id(&home.db, event_id.as_str()).await?.ok_or_else(unknown)?;
    let room_id = memory::find_by_key(home, stored.room).await?.room_id.clone();
    let (room, viewer, event) = find(home, user, &room_id, event_id).await?;
    show::event(home, &room, &viewer, &event, form).await
}

/// One event with at most `limit` events around it, of which `filter` selects.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn context(
    home: &Home,
    (user, device): (&UserId, &DeviceId),
    (room_id, event_id): (&RoomId, &EventId),
    limit: usize,
    filter: &EventFilter,
) -> Answer<Context> {
    let (room, viewer, event) = find(home, user, room_id, event_id).await?;
    let limit = limit.min(CONTEXT_EVENTS_MAX);
    let (oldest, newest) = (Token::before(room.key), Token::after(home.db.upto()));
    let back = Stretch { direction: Direction::Backward, from: Token::before(event.pos), to: oldest };
    let on = Stretch { direction: Direction::Forward, from: Token::after(event.pos), to: newest };
    let before = messages::walk(home, &room, &viewer, Source::Timeline, back, limit / 2, filter).await?;
    let after = messages::walk(home, &room, &viewer, Source::Timeline, on, limit - limit / 2, filter).await?;
    let form = Form::whole(Some(device));
    let mut all = before.events;
    let first_after = all.len() + 1;
    all.push(event.clone());
    all.extend(after.events);
    let last = if all.len() > first_after { all.last().unwrap_or(&event) } else { &event };
    let state = match viewer.reach(home, &room).await {
        Ok(_) => state_at(home, &room, last.root, &all, filter).await?,
        // Who sees the event but may not look into the room has no business with its state.
        Err(refusal) if refusal.status == 403 => Vec::new(),
        Err(refusal) => return Err(refusal),
    };
    let mut shown = show::events(home, &room, &viewer, &all, form).await?;
    let after_shown = shown.split_off(first_after);
    let event_shown = shown.pop().ok_or_else(|| Refusal::broken("an event was lost on its way"))?;
    Ok(Context {
        start: before.end.unwrap_or(oldest),
        end: after.end.unwrap_or(newest),
        before: shown,
        event: event_shown,
        after: after_shown,
        state: show::state(home, &state, form),
    })
}

/// The state at `root` that `filter` admits; of members only those who sent `events`, if they are loaded
/// lazily.
async fn state_at(
    home: &Home,
    room: &Room,
    root: Root,
    events: &[Arc<TimelineEvent>],
    filter: &EventFilter,
) -> Answer<Vec<Arc<Event>>> {
    let entries = state::entries(home, root, |_| true).await?;
    let lazily = matches!(filter.lazy_load, LazyLoadOptions::Enabled { .. });
    let senders: HashSet<&str> = events.iter().map(|event| event.event.sender().as_str()).collect();
    let wanted = entries.into_iter().filter(|entry| {
        !lazily || &*entry.event_type != "m.room.member" || senders.contains(&*entry.state_key)
    });
    let wanted: Vec<OwnedEventId> = wanted.map(|entry| entry.event_id).collect();
    let mut found = state::events_by_id(home, room, &wanted).await?;
    found.retain(|event| filter.admits(event));
    Ok(found)
}

/// The event nearest to `ts` in a direction: the first at or after it, or the last at or before it, that
/// `user` may see.
///
/// # Errors
/// `M_FORBIDDEN` if the user may not look into the room, `M_NOT_FOUND` if there is no such event.
pub async fn nearest(
    home: &Home,
    user: &UserId,
    room_id: &RoomId,
    ts: MilliSecondsSinceUnixEpoch,
    direction: Direction,
) -> Answer<(OwnedEventId, MilliSecondsSinceUnixEpoch)> {
    let (room, viewer) = visibility::look(home, room_id, Some(user)).await?;
    viewer.reach(home, &room).await?;
    let forwards = direction == Direction::Forward;
    for limit in NEAREST_SCANNED {
        for stored in store::events::nearest(&home.db, room.key, ts.0.into(), forwards, limit).await? {
            let event = TimelineEvent::read(stored, &room)?;
            if viewer.may_see(home, &room, &event).await? {
                return Ok((event.event.event_id().to_owned(), event.event.origin_server_ts()));
            }
        }
    }
    Err(Refusal::not_found("There is no event in that direction that you may see"))
}

//! The rooms of a space (`GET /rooms/{roomId}/hierarchy`), as far as this server knows them.
//!
//! The tree is walked from its root for each page: what a page remembers of the one before is only how
//! many rooms came. A room that stands in it twice comes once, and loops end there.

use std::{cmp::Ordering, collections::HashSet, fmt, str::FromStr, sync::Arc};

use rules::event::Event;
use ruma::{OwnedRoomId, RoomId};
use serde::Deserialize;
use serde_json::Value;

use super::previews::{self, Preview};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{state, summary},
    who::Device,
};

/// Rooms in one answer.
const ROOMS_MAX: usize = 50;

/// How many levels below the root are walked, at most.
const DEPTH_MAX: usize = 30;

/// Rooms of a tree; what comes after them is not shown.
const TREE_ROOMS_MAX: usize = 2_000;

/// Children of one space; what comes after them is not shown.
const CHILDREN_MAX: usize = 500;

/// Characters of `order`; longer ones count as none.
const ORDER_CHARS_MAX: usize = 50;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// Only suggested children.
    pub suggested_only: bool,
    /// Rooms in the answer.
    pub limit: Option<usize>,
    /// Levels below the root.
    pub max_depth: Option<usize>,
    /// Where to go on.
    pub from: Option<From>,
}

/// Where to go on in a tree, and for what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    seen: usize,
    max_depth: usize,
    suggested_only: bool,
}

impl fmt::Display for From {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "h{}_{}_{}", self.seen, self.max_depth, u8::from(self.suggested_only))
    }
}

impl FromStr for From {
    type Err = Refusal;

    fn from_str(text: &str) -> Answer<Self> {
        let parse = || {
            let mut parts = text.strip_prefix('h')?.split('_');
            let (seen, max_depth) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let suggested_only = match (parts.next()?, parts.next()) {
                ("0", None) => false,
                ("1", None) => true,
                _ => return None,
            };
            Some(From { seen, max_depth, suggested_only })
        };
        parse().ok_or_else(|| Refusal::invalid_param("`from` is no token of this tree"))
    }
}

/// A room of the tree.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The room.
    pub preview: Preview,
    /// Its `m.space.child` events, if it is a space.
    pub children: Vec<Arc<Event>>,
}

/// A part of the tree.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The rooms, each space before what is in it.
    pub rooms: Vec<Branch>,
    /// Where the tree goes on.
    pub next: Option<From>,
}

/// A part of the tree below `root`.
///
/// # Errors
/// `M_FORBIDDEN` if `who` may not know of the root, `M_INVALID_PARAM` for a token from another question.
pub async fn page(home: &Home, who: &Device, root: &RoomId, ask: &Ask) -> Answer<Page> {
    let limit = ask.limit.unwrap_or(ROOMS_MAX).clamp(1, ROOMS_MAX);
    let max_depth = ask.max_depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX);
    let here = From { seen: 0, max_depth, suggested_only: ask.suggested_only };
    let from = ask.from.unwrap_or(here);
    if (From { seen: 0, ..from }) != here {
        return Err(Refusal::invalid_param("`max_depth` and `suggested_only` can not change between pages"));
    }
    let mut page = Page::default();
    let (mut seen, mut known) = (0, HashSet::from([root.to_owned()]));
    // What is yet to be visited, the next one last.
    let mut ahead = vec![(root.to_owned(), 0)];
    while let Some((room_id, depth)) = ahead.pop() {
        let Some(preview) = previews::by_id(home, Some(who.user()), &room_id).await? else {
            if room_id == root {
                return Err(Refusal::forbidden("You can not look into this room"));
            }
            continue;
        };
        if page.rooms.len() == limit {
            page.next = Some(From { seen, ..from });
            return Ok(page);
        }
        let children = children(home, &preview, ask.suggested_only).await?;
        if depth < max_depth && known.len() < TREE_ROOMS_MAX {
            let below = children.iter().filter_map(|event| RoomId::parse(event.state_key()?).ok());
            let new: Vec<OwnedRoomId> = below.filter(|child| known.insert(child.clone())).collect();
            ahead.extend(new.into_iter().rev().map(|child| (child, depth + 1)));
        }
        seen += 1;
        if seen > from.seen {
            page.rooms.push(Branch { preview, children });
        }
    }
    Ok(page)
}

#[derive(Deserialize)]
struct Child {
    via: Vec<Value>,
    #[serde(default)]
    suggested: Value,
    #[serde(default)]
    order: Value,
}

/// The valid children of a space, in the order of the specification.
async fn children(home: &Home, space: &Preview, suggested_only: bool) -> Answer<Vec<Arc<Event>>> {
    if space.summary.room_type.as_deref() != Some("m.space") {
        return Ok(Vec::new());
    }
    let (room, root) = summary::open(home, &space.listed).await?;
    let entries = state::entries(home, root, |event_type| event_type == "m.space.child").await?;
    let ids: Vec<_> = entries.into_iter().map(|entry| entry.event_id).collect();
    let events = state::events_by_id(home, &room, &ids).await?;
    let read = |event: Arc<Event>| {
        let child: Child = event.content_as().ok()?;
        let wanted = !child.via.is_empty() && (!suggested_only || child.suggested == true);
        (wanted && event.state_key().is_some_and(|key| RoomId::parse(key).is_ok())).then(|| {
            let order = child.order.as_str().filter(|order| is_order(order)).map(str::to_owned);
            (order, event)
        })
    };
    let mut children: Vec<_> = events.into_iter().filter_map(read).collect();
    children.sort_by(|(one, first), (other, second)| {
        let by_order = match (one, other) {
            (Some(one), Some(other)) => one.cmp(other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_order
            .then_with(|| first.origin_server_ts().cmp(&second.origin_server_ts()))
            .then_with(|| first.state_key().cmp(&second.state_key()))
    });
    children.truncate(CHILDREN_MAX);
    Ok(children.into_iter().map(|(_, event)| event).collect())
}

fn is_order(order: &str) -> bool {
    order.len() <= ORDER_CHARS_MAX && order.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

//! The list of public rooms, those with the most members first.
//!
//! Pages go on from a place in that order, not from a number: rooms may come, go and grow meanwhile.

use std::{fmt, str::FromStr, sync::Arc};

use ruma::RoomId;
use store::{Batch, public_rooms::Listed};

use super::{has_power, is_joined};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    rooms::{
        self,
        summary::{self, Summary},
    },
    who::Device,
};

/// Rooms in one answer, if nothing else is asked for.
const ROOMS_DEFAULT: usize = 100;

/// Rooms in one answer, whatever is asked for.
const ROOMS_MAX: usize = 500;

/// Bytes of names and topics after which an answer ends early.
const TEXT_BYTES_MAX: usize = 512 * 1024;

/// Rooms that one request looks through when it searches; the next page goes on from there.
const LOOKED_THROUGH_MAX: usize = 2_000;

/// Rooms read from the database at a time.
const READ_AT_ONCE: usize = 200;

/// How far listed rooms are counted for the estimate of their number.
const COUNT_MAX: i64 = 10_000;

/// Which rooms are wanted.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// How many at most.
    pub limit: Option<usize>,
    /// Where to go on.
    pub since: Option<Since>,
    /// Text that must occur in the name, the topic or the alias.
    pub search: Option<String>,
    /// The types of rooms; `None` among them are rooms without a type.
    pub room_types: Option<Vec<Option<String>>>,
}

/// A place in the list, and the direction in which to go on from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    back: bool,
    joined: i64,
    room: i64,
}

impl Since {
    /// The place before the first room.
    pub const BEGINNING: Since = Since { back: false, joined: i64::MAX, room: i64::MAX };
}

impl fmt::Display for Since {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}_{}", if self.back { "p" } else { "n" }, self.joined, self.room)
    }
}

impl FromStr for Since {
    type Err = Refusal;

    fn from_str(text: &str) -> Answer<Self> {
        let parse = || {
            let (back, place) = match text.split_at_checked(1)? {
                ("n", place) => (false, place),
                ("p", place) => (true, place),
                _ => return None,
            };
            let (joined, room) = place.split_once('_')?;
            Some(Since { back, joined: joined.parse().ok()?, room: room.parse().ok()? })
        };
        parse().ok_or_else(|| Refusal::invalid_param("`since` is no token of this list"))
    }
}

/// A room of the list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The room id.
    pub room_id: String,
    /// How many members are joined.
    pub joined: i64,
    /// What the room tells about itself.
    pub summary: Arc<Summary>,
    /// Its place in the list.
    place: (i64, i64),
}

impl Entry {
    /// Where the list goes on after this room.
    pub fn behind(&self) -> Since {
        Since { back: false, joined: self.place.0, room: self.place.1 }
    }
}

/// A part of the list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The rooms.
    pub entries: Vec<Entry>,
    /// Where the list goes on after them.
    pub next: Option<Since>,
    /// Where it goes on before them.
    pub previous: Option<Since>,
    /// How many rooms are listed, if they are not a great many.
    pub total: i64,
}

/// A part of the list of public rooms.
///
/// # Errors
/// If the database does not answer.
pub async fn page(home: &Home, ask: &Ask) -> Answer<Page> {
    let limit = ask.limit.unwrap_or(ROOMS_DEFAULT).clamp(1, ROOMS_MAX);
    let since = ask.since.unwrap_or(Since::BEGINNING);
    let search = ask.search.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_lowercase);
    let mut walk =
        Walk { entries: Vec::new(), at: (since.joined, since.room), looked_through: 0, text_bytes: 0 };
    let ended = walk.fill(home, ask, search.as_deref(), since.back, limit).await?;
    let Walk { mut entries, at, .. } = walk;
    // The place where the walk stopped may be past the last room that it found.
    let goes_on = (!ended).then_some(at);
    let came_from = ask.since.map(|since| match entries.first() {
        Some(entry) => entry.place,
        // Nothing is here: the way back begins with the room that the token came from.
        None => (since.joined, since.room.saturating_add(if since.back { 1 } else { -1 })),
    });
    let (next, previous) = if since.back { (came_from, goes_on) } else { (goes_on, came_from) };
    if since.back {
        entries.reverse();
    }
    let to = |back| move |(joined, room)| Since { back, joined, room };
    let total = store::public_rooms::count(&home.db, COUNT_MAX).await?;
    Ok(Page { entries, next: next.map(to(false)), previous: previous.map(to(true)), total })
}

/// A walk along the list.
struct Walk {
    entries: Vec<Entry>,
    at: (i64, i64),
    looked_through: usize,
    text_bytes: usize,
}

impl Walk {
    /// Walks until there are `limit` rooms or enough was done. Answers whether the list ended.
    async fn fill(
        &mut self,
        home: &Home,
        ask: &Ask,
        search: Option<&str>,
        back: bool,
        limit: usize,
    ) -> Answer<bool> {
        loop {
            // One more than is wanted, to know whether the list goes on.
            let at_once = if search.is_some() { READ_AT_ONCE } else { limit.min(READ_AT_ONCE - 1) + 1 };
            let listed = match back {
                false => store::public_rooms::after(&home.db, self.at, at_once as i64).await?,
                true => store::public_rooms::before(&home.db, self.at, at_once as i64).await?,
            };
            let ended = listed.len() < at_once;
            for listed in listed {
                let enough = self.entries.len() >= limit
                    || self.looked_through >= LOOKED_THROUGH_MAX
                    || self.text_bytes >= TEXT_BYTES_MAX;
                if enough {
                    return Ok(false);
                }
                self.step(home, ask, search, listed).await?;
            }
            if ended {
                return Ok(true);
            }
        }
    }

    async fn step(&mut self, home: &Home, ask: &Ask, search: Option<&str>, listed: Listed) -> Answer<()> {
        self.at = (listed.joined, listed.room);
        self.looked_through += 1;
        let summary = summary::of(home, &listed).await?;
        if is_wanted(ask, search, &summary) {
            self.text_bytes += summary.text_bytes();
            let Listed { room_id, joined, .. } = listed;
            self.entries.push(Entry { room_id, joined, summary, place: self.at });
        }
        Ok(())
    }
}

fn is_wanted(ask: &Ask, search: Option<&str>, summary: &Summary) -> bool {
    let of_type = ask.room_types.as_ref().is_none_or(|types| types.contains(&summary.room_type));
    let found = |search: &str| {
        let texts = [&summary.name, &summary.topic, &summary.canonical_alias];
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(search))
    };
    of_type && search.is_none_or(found)
}

/// Whether a room is listed.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn is_listed(home: &Home, room_id: &RoomId) -> Answer<bool> {
    let room = store::rooms::by_id(&home.db, room_id.as_str()).await?;
    room.map(|room| room.public).ok_or_else(|| Refusal::not_found("This server does not know that room"))
}

/// Lists a room, or takes it off.
///
/// # Errors
/// `M_NOT_FOUND`; `M_FORBIDDEN` to all but members with the power to name the room's aliases, and
/// administrators.
pub async fn list(home: &Home, who: &Device, room_id: &RoomId, public: bool) -> Answer<()> {
    who.may_act()?;
    let room = rooms::find(home, room_id).await?;
    let may = who.admin
        || (is_joined(home, &room, who.user()).await?
            && has_power(home, &room, who.user(), "m.room.canonical_alias").await?);
    if !may {
        return Err(Refusal::forbidden("Only who manages the room can list it or take it off"));
    }
    let mut batch = Batch::new();
    store::rooms::set_public(&mut batch, room.key.into(), public);
    home.db.commit(batch).await?;
    Ok(())
}

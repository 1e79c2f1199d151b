//! What a client wants of `/sync`: its filter, compiled.
//!
//! A filter never changes, and every sync of a client comes with the same: so it is compiled once and
//! shared by all who use it.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use rules::{
    event_fields::EventFields,
    filter::{EventFilter, Names},
    format::Format,
};
use ruma::{
    UserId,
    api::client::filter::{EventFormat, FilterDefinition, LazyLoadOptions},
};

use crate::{Home, config, filters, refusal::Answer, who::Device};

/// What compiled filters may take, in hundredths of all caches.
const PERCENT: u64 = 2;

/// Events of a room's timeline, if the client does not say how many.
const TIMELINE_LIMIT_DEFAULT: usize = 10;

/// Events of a room's timeline at most.
const TIMELINE_LIMIT_MAX: usize = 100;

/// A filter of `/sync`, compiled.
#[derive(Debug, Default)]
pub struct Filter {
    pub(super) rooms: Names,
    pub(super) include_leave: bool,
    pub(super) timeline: EventFilter,
    pub(super) state: EventFilter,
    pub(super) ephemeral: EventFilter,
    pub(super) room_account_data: EventFilter,
    pub(super) account_data: EventFilter,
    pub(super) presence: EventFilter,
    /// In which form events are wanted.
    pub(super) format: Format,
    /// What is wanted of events; everything, if absent.
    pub(super) fields: Option<EventFields>,
}

/// Compiled filters in memory.
pub struct Memory(Cache<Key, Kept, ByBytes>);

/// The hash of what a filter was named by, and of whom: an id is one of that user's.
type Key = blake3::Hash;

#[derive(Clone)]
struct Kept {
    filter: Arc<Filter>,
    json_bytes: usize,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Key, Kept> for ByBytes {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        // Every name in it is a string of its own, some of them compiled to a pattern.
        (2 * size_of::<Filter>() + 8 * kept.json_bytes) as u64
    }
}

impl Memory {
    /// Nothing in memory yet.
    pub(crate) fn new(budget: &config::Memory) -> Self {
        Memory(Cache::with_weighter(1_024, budget.share(PERCENT), ByBytes))
    }
}

fn key(user: &UserId, named: &str) -> Key {
    let owner = if named.starts_with('{') { "" } else { user.as_str() };
    blake3::Hasher::new().update(owner.as_bytes()).update(&[0xff]).update(named.as_bytes()).finalize()
}

impl Filter {
    /// Compiles what a query names: the id of a filter, JSON in place, or nothing.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` if there is no filter with that id or the JSON is not a filter.
    pub async fn read(home: &Home, who: &Device, named: Option<&str>) -> Answer<Arc<Self>> {
        let named = named.unwrap_or_default();
        let key = key(who.user(), named);
        if let Some(kept) = home.filters.0.get(&key) {
            return Ok(kept.filter);
        }
        let (json, definition) = filters::of_query(home, who.user(), named).await?;
        let filter = Arc::new(Filter::compile(&definition)?);
        home.filters.0.insert(key, Kept { filter: filter.clone(), json_bytes: json.len() });
        Ok(filter)
    }

    /// Everything, in this form.
    pub(super) fn of_format(format: Format) -> Self {
        Filter { format, ..Filter::default() }
    }

    /// What `/initialSync` asks for: so many events of each room, also of rooms that the user has left.
    pub(super) fn initial(format: Format, limit: usize, include_leave: bool) -> Self {
        let mut filter = Filter { format, include_leave, ..Filter::default() };
        filter.timeline.limit = Some(limit as u64);
        filter
    }

    fn compile(definition: &FilterDefinition) -> Answer<Self> {
        let room = &definition.room;
        Ok(Filter {
            rooms: Names::new(room.rooms.as_deref(), &room.not_rooms)?,
            include_leave: room.include_leave,
            timeline: EventFilter::of_room_events(&room.timeline)?,
            state: EventFilter::of_room_events(&room.state)?,
            ephemeral: EventFilter::of_room_events(&room.ephemeral)?,
            room_account_data: EventFilter::of_room_events(&room.account_data)?,
            account_data: EventFilter::of_events(&definition.account_data)?,
            presence: EventFilter::of_events(&definition.presence)?,
            format: match definition.event_format {
                EventFormat::Federation => Format::Pdu,
                _ => Format::Client,
            },
            fields: definition.event_fields.as_deref().map(EventFields::new).transpose()?,
        })
    }

    /// Events that a room's timeline may have.
    pub(super) fn timeline_limit(&self) -> usize {
        let limit = self.timeline.limit.and_then(|limit| usize::try_from(limit).ok());
        limit.unwrap_or(TIMELINE_LIMIT_DEFAULT).min(TIMELINE_LIMIT_MAX)
    }

    /// Whether members are only told as far as they are needed.
    pub(super) fn lazy_load_members(&self) -> bool {
        !self.state.lazy_load.is_disabled()
    }

    /// Whether the client remembers the members that it was told.
    pub(super) fn remembers_members(&self) -> bool {
        matches!(self.state.lazy_load, LazyLoadOptions::Enabled { include_redundant_members: false })
    }
}

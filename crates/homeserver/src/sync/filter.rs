//! What a client wants of `/sync`: its filter, compiled.
//!
//! A filter never changes, and every sync of a client comes with the same: so it is compiled once and
//! shared by all who use it.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};
use rules::{event_fields::EventFields, filter::EventFilter, format::Format};
use ruma::api::client::filter::{EventFormat, FilterDefinition, LazyLoadOptions};
use serde_json::{Value, json};

use crate::{
    Home, config,
    filters::{self, FILTER_BYTES_MAX},
    refusal::{Answer, Refusal},
    who::Device,
};

/// What compiled filters may take, in hundredths of all caches.
const PERCENT: u64 = 2;

/// Events of a room's timeline, if the client does not say how many.
const TIMELINE_LIMIT_DEFAULT: usize = 10;

/// Events of a room's timeline at most.
const TIMELINE_LIMIT_MAX: usize = 100;

/// A filter of `/sync`, compiled.
#[derive(Debug, Default)]
pub struct Filter {
    pub(super) rooms: EventFilter,
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

/// The hash of its JSON, or of its id and whose that is.
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

    /// Bytes that it takes.
    pub(crate) fn weight(&self) -> u64 {
        self.0.weight()
    }

    /// The filter that is written so.
    fn of_json(&self, json: &str) -> Answer<Arc<Filter>> {
        let key = blake3::hash(json.as_bytes());
        if let Some(kept) = self.0.get(&key) {
            return Ok(kept.filter);
        }
        let filter = Arc::new(Filter::compile(json)?);
        self.0.insert(key, Kept { filter: filter.clone(), json_bytes: json.len() });
        Ok(filter)
    }
}

impl Filter {
    /// Compiles what a query names: the id of a filter, JSON in place, or nothing.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` if there is no filter with that id or the JSON is not a filter.
    pub async fn read(home: &Home, who: &Device, named: Option<&str>) -> Answer<Arc<Self>> {
        let wrong = |refusal: Refusal| match refusal.status {
            500.. => refusal,
            _ => Refusal::invalid_param(format!("The filter: {}", refusal.message)),
        };
        let named = named.filter(|named| !named.is_empty()).unwrap_or("{}");
        if named.starts_with('{') {
            return home.filters.of_json(named).map_err(wrong);
        }
        let user = who.user();
        let key =
            blake3::Hasher::new().update(user.as_bytes()).update(&[0xff]).update(named.as_bytes()).finalize();
        if let Some(kept) = home.filters.0.get(&key) {
            return Ok(kept.filter);
        }
        let json = filters::get(home, user, named).await.map_err(wrong)?;
        // Most users of a client have the same under ids of their own.
        let filter = home.filters.of_json(&json).map_err(wrong)?;
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

    /// Compiles a filter, and so tells whether all of it can be used.
    ///
    /// # Errors
    /// `M_NOT_JSON`, `M_BAD_JSON`, `M_TOO_LARGE`
    pub(crate) fn compile(json: &str) -> Answer<Self> {
        if json.len() > FILTER_BYTES_MAX {
            return Err(Refusal::too_large(format!("A filter has at most {FILTER_BYTES_MAX} bytes")));
        }
        let mut all: Value =
            serde_json::from_str(json).map_err(|error| Refusal::not_json(format!("A filter: {error}")))?;
        let mut take = |path, key| all.pointer_mut(path)?.as_object_mut()?.remove(key);
        let lists = ["rooms", "not_rooms"].into_iter();
        let rooms: Value = lists.filter_map(|list| Some((list, take("/room", list)?))).collect();
        // What is not there asks for nothing.
        let mut part = |path, key| take(path, key).unwrap_or_else(|| json!({}));
        let [timeline, state, ephemeral, room_account_data] =
            ["timeline", "state", "ephemeral", "account_data"].map(|key| part("/room", key));
        let [account_data, presence] = ["account_data", "presence"].map(|key| part("", key));
        let rest: FilterDefinition =
            serde_json::from_value(all).map_err(|error| Refusal::bad_json(format!("A filter: {error}")))?;
        Ok(Filter {
            rooms: EventFilter::read_room_events(rooms)?,
            include_leave: rest.room.include_leave,
            timeline: EventFilter::read_room_events(timeline)?,
            state: EventFilter::read_room_events(state)?,
            ephemeral: EventFilter::read_room_events(ephemeral)?,
            room_account_data: EventFilter::read_room_events(room_account_data)?,
            account_data: EventFilter::read_events(account_data)?,
            presence: EventFilter::read_events(presence)?,
            format: match rest.event_format {
                EventFormat::Federation => Format::Pdu,
                EventFormat::Client => Format::Client,
                _ => return Err(Refusal::bad_json("A filter: `event_format` is client or federation")),
            },
            fields: rest.event_fields.as_deref().map(EventFields::new).transpose()?,
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

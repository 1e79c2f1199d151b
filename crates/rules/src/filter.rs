//! Which events a client wants: filters, compiled once per request.
//!
//! Spec: client-server API, «Filtering».

use ruma::{
    RoomId,
    api::client::filter::{Filter, LazyLoadOptions, RoomEventFilter, UrlFilter},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Refused, event::Event, glob};

/// How many rooms, senders and types one list of a filter may have.
pub const ENTRIES_MAX: usize = 1000;
/// How many entries with a `*` one list may have: each is tried on each event.
pub const WILDCARDS_MAX: usize = 50;

/// A compiled `RoomEventFilter` or `EventFilter`.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    rooms: Names,
    senders: Names,
    types: Names,
    url: Option<UrlFilter>,
    /// How many events the client wants at most; the server caps it.
    pub limit: Option<u64>,
    /// Whether and how members are loaded lazily.
    pub lazy_load: LazyLoadOptions,
    /// Whether unread counts are split by thread.
    pub unread_thread_notifications: bool,
}

/// What a filter looks at in something that is not a room event (presence, account data, receipts).
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its type.
    pub event_type: &'a str,
    /// Its sender, if it has one; `senders` admits nothing without.
    pub sender: Option<&'a str>,
    /// The room it belongs to, if any.
    pub room_id: Option<&'a RoomId>,
    /// Whether its content has a `url`.
    pub has_url: bool,
}

impl EventFilter {
    /// Compiles a filter for room events.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if a list has more than [`ENTRIES_MAX`] entries or [`WILDCARDS_MAX`] wildcards.
    pub fn of_room_events(filter: &RoomEventFilter) -> Result<Self, Refused> {
        Ok(Self {
            rooms: Names::new(filter.rooms.as_deref(), &filter.not_rooms)?,
            senders: Names::new(filter.senders.as_deref(), &filter.not_senders)?,
            types: Names::new(filter.types.as_deref(), &filter.not_types)?,
            url: filter.url_filter,
            limit: filter.limit.map(u64::from),
            lazy_load: filter.lazy_load_options,
            unread_thread_notifications: filter.unread_thread_notifications,
        })
    }

    /// Compiles a filter for presence or account data.
    ///
    /// # Errors
    /// As [`EventFilter::of_room_events`].
    pub fn of_events(filter: &Filter) -> Result<Self, Refused> {
        Ok(Self {
            senders: Names::new(filter.senders.as_deref(), &filter.not_senders)?,
            types: Names::new(filter.types.as_deref(), &filter.not_types)?,
            limit: filter.limit.map(u64::from),
            ..Self::default()
        })
    }

    /// Compiles a `RoomEventFilter` from JSON. In lists of ids, too, `*` stands for any characters, as it did
    /// in 2015: no id that is made today has one.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if it is none, and as [`EventFilter::of_room_events`].
    pub fn read_room_events(mut part: Value) -> Result<Self, Refused> {
        let [rooms, not_rooms, senders, not_senders] =
            ["rooms", "not_rooms", "senders", "not_senders"].map(|list| take_patterns(&mut part, list));
        let filter = Self::of_room_events(&read(part)?)?;
        let (rooms, senders) =
            (filter.rooms.with(rooms, not_rooms)?, filter.senders.with(senders, not_senders)?);
        Ok(Self { rooms, senders, ..filter })
    }

    /// Compiles an `EventFilter` from JSON, in the same way.
    ///
    /// # Errors
    /// As [`EventFilter::read_room_events`].
    pub fn read_events(mut part: Value) -> Result<Self, Refused> {
        let [senders, not_senders] = ["senders", "not_senders"].map(|list| take_patterns(&mut part, list));
        let filter = Self::of_events(&read(part)?)?;
        Ok(Self { senders: filter.senders.with(senders, not_senders)?, ..filter })
    }

    /// Whether the client wants this event.
    pub fn admits(&self, event: &Event) -> bool {
        self.rooms.admit(event.room_id().as_str())
            && self.senders.admit(event.sender().as_str())
            && self.types.admit(event.event_type())
            && self.url.is_none_or(|url| (url == UrlFilter::EventsWithUrl) == has_url(event.content_str()))
    }

    /// Whether the client wants this.
    pub fn admits_subject(&self, subject: &Subject<'_>) -> bool {
        subject.room_id.is_none_or(|room_id| self.rooms.admit(room_id.as_str()))
            && subject.sender.map_or(self.senders.wanted.is_none(), |sender| self.senders.admit(sender))
            && self.types.admit(subject.event_type)
            && self.url.is_none_or(|url| (url == UrlFilter::EventsWithUrl) == subject.has_url)
    }

    /// Whether the client wants anything of this room.
    pub fn admits_room(&self, room_id: &RoomId) -> bool {
        self.rooms.admit(room_id.as_str())
    }

    /// Whether nothing at all passes, so that nobody need look.
    pub fn admits_nothing(&self) -> bool {
        [&self.rooms, &self.senders, &self.types].into_iter().any(Names::admit_nothing)
    }
}

/// Two lists of names: those that are wanted, all if there is no such list, and those that are not.
#[derive(Debug, Clone, Default)]
struct Names {
    wanted: Option<Patterns>,
    unwanted: Patterns,
}

impl Names {
    fn new<T: AsRef<str>>(wanted: Option<&[T]>, unwanted: &[T]) -> Result<Self, Refused> {
        Ok(Self { wanted: wanted.map(Patterns::new).transpose()?, unwanted: Patterns::new(unwanted)? })
    }

    /// The same lists with more entries.
    fn with(mut self, wanted: Vec<String>, unwanted: Vec<String>) -> Result<Self, Refused> {
        if !wanted.is_empty() {
            self.wanted.get_or_insert_default().add(wanted)?;
        }
        self.unwanted.add(unwanted)?;
        Ok(self)
    }

    fn admit(&self, name: &str) -> bool {
        !self.unwanted.match_any(name) && self.wanted.as_ref().is_none_or(|wanted| wanted.match_any(name))
    }

    fn admit_nothing(&self) -> bool {
        self.wanted.as_ref().is_some_and(Patterns::is_empty)
    }
}

#[derive(Debug, Clone, Default)]
struct Patterns {
    exact: Vec<String>,
    wildcards: Vec<String>,
}

impl Patterns {
    fn new<T: AsRef<str>>(patterns: &[T]) -> Result<Self, Refused> {
        let patterns = patterns.iter().map(AsRef::as_ref);
        let (wildcards, exact): (Vec<&str>, Vec<&str>) = patterns.partition(|text| text.contains('*'));
        let mut new = Self { exact: sorted(&exact)?, wildcards: Vec::new() };
        new.add(wildcards.into_iter().map(str::to_owned).collect())?;
        Ok(new)
    }

    fn add(&mut self, wildcards: Vec<String>) -> Result<(), Refused> {
        self.wildcards.extend(wildcards);
        if self.wildcards.len() > WILDCARDS_MAX {
            return Err(Refused::BadJson(format!("a filter has more than {WILDCARDS_MAX} entries with «*»")));
        }
        Ok(())
    }

    fn match_any(&self, text: &str) -> bool {
        self.exact.binary_search_by(|entry| entry.as_str().cmp(text)).is_ok()
            || self.wildcards.iter().any(|pattern| glob::star_matches(pattern, text))
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }
}

/// Takes the entries with `*` out of a list of ids, of which ruma's types hold whole ones only.
fn take_patterns(part: &mut Value, list: &str) -> Vec<String> {
    let Some(Value::Array(entries)) = part.get_mut(list) else { return Vec::new() };
    let is_pattern = |entry: &mut Value| entry.as_str().is_some_and(|text| text.contains('*'));
    entries.extract_if(.., is_pattern).filter_map(|entry| entry.as_str().map(str::to_owned)).collect()
}

fn read<T: DeserializeOwned>(part: Value) -> Result<T, Refused> {
    serde_json::from_value(part).map_err(|error| Refused::BadJson(format!("a filter: {error}")))
}

fn sorted<T: AsRef<str>>(names: &[T]) -> Result<Vec<String>, Refused> {
    if names.len() > ENTRIES_MAX {
        return Err(Refused::BadJson(format!("a filter has a list of more than {ENTRIES_MAX} entries")));
    }
    let mut names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Whether a content, given as JSON, has the key `url`.
pub fn has_url(content: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Url {
        #[serde(default, deserialize_with = "there")]
        url: bool,
    }
    fn there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
        <serde::de::IgnoredAny as serde::Deserialize>::deserialize(from).map(|_| true)
    }
    // What is kept has no needless escapes: the key is there as text before it can be there as a key.
    content.contains(r#""url""#) && serde_json::from_str::<Url>(content).is_ok_and(|content| content.url)
}

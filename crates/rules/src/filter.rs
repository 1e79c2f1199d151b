//! Which events a client wants: filters, compiled once per request.
//!
//! Spec: client-server API, «Filtering».

use ruma::{
    RoomId,
    api::client::filter::{Filter, LazyLoadOptions, RoomEventFilter, UrlFilter},
};

use crate::{Refused, event::Event, glob};

/// How many rooms, senders and types one list of a filter may have.
pub const ENTRIES_MAX: usize = 1000;
/// How many types with a `*` one list may have: each is tried on each event.
pub const WILDCARDS_MAX: usize = 50;

/// A compiled `RoomEventFilter` or `EventFilter`.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    rooms: Names,
    senders: Names,
    types: Types,
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
            types: Types::new(filter.types.as_deref(), &filter.not_types)?,
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
            types: Types::new(filter.types.as_deref(), &filter.not_types)?,
            limit: filter.limit.map(u64::from),
            ..Self::default()
        })
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
        [&self.rooms.wanted, &self.senders.wanted]
            .into_iter()
            .any(|wanted| wanted.as_ref().is_some_and(Vec::is_empty))
            || self.types.wanted.as_ref().is_some_and(Patterns::is_empty)
    }
}

/// `rooms` and `not_rooms` of a list of rooms, as sync's `RoomFilter` has them.
#[derive(Debug, Clone, Default)]
pub struct Names {
    wanted: Option<Vec<String>>,
    unwanted: Vec<String>,
}

impl Names {
    /// Compiles two lists.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if one has more than [`ENTRIES_MAX`] entries.
    pub fn new<T: AsRef<str>>(wanted: Option<&[T]>, unwanted: &[T]) -> Result<Self, Refused> {
        Ok(Self { wanted: wanted.map(sorted).transpose()?, unwanted: sorted(unwanted)? })
    }

    /// Whether a name passes both lists.
    pub fn admit(&self, name: &str) -> bool {
        let within = |names: &Vec<String>| names.binary_search_by(|entry| entry.as_str().cmp(name)).is_ok();
        !within(&self.unwanted) && self.wanted.as_ref().is_none_or(within)
    }
}

#[derive(Debug, Clone, Default)]
struct Types {
    wanted: Option<Patterns>,
    unwanted: Patterns,
}

impl Types {
    fn new(wanted: Option<&[String]>, unwanted: &[String]) -> Result<Self, Refused> {
        Ok(Self { wanted: wanted.map(Patterns::new).transpose()?, unwanted: Patterns::new(unwanted)? })
    }

    fn admit(&self, event_type: &str) -> bool {
        !self.unwanted.match_any(event_type)
            && self.wanted.as_ref().is_none_or(|wanted| wanted.match_any(event_type))
    }
}

#[derive(Debug, Clone, Default)]
struct Patterns {
    exact: Vec<String>,
    wildcards: Vec<String>,
}

impl Patterns {
    fn new(patterns: &[String]) -> Result<Self, Refused> {
        let (wildcards, exact): (Vec<_>, Vec<_>) =
            patterns.iter().cloned().partition(|text| text.contains('*'));
        if wildcards.len() > WILDCARDS_MAX {
            return Err(Refused::BadJson(format!("a filter has more than {WILDCARDS_MAX} types with «*»")));
        }
        Ok(Self { exact: sorted(&exact)?, wildcards })
    }

    fn match_any(&self, text: &str) -> bool {
        self.exact.binary_search_by(|entry| entry.as_str().cmp(text)).is_ok()
            || self.wildcards.iter().any(|pattern| glob::star_matches(pattern, text))
    }

    fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcards.is_empty()
    }
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

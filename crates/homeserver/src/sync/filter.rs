//! What a client wants of `/sync`: its filter, compiled.

use rules::{
    event_fields::EventFields,
    filter::{EventFilter, Names},
    format::Format,
};
use ruma::api::client::filter::{EventFormat, FilterDefinition, LazyLoadOptions};

use crate::{Home, filters, refusal::Answer, who::Device};

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

impl Filter {
    /// Compiles what a query names: the id of a filter, JSON in place, or nothing.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` if there is no filter with that id or the JSON is not a filter.
    pub async fn read(home: &Home, who: &Device, named: Option<&str>) -> Answer<Self> {
        match named {
            None | Some("") => Ok(Filter::default()),
            named => Filter::compile(&filters::of_query(home, who.user(), named).await?),
        }
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

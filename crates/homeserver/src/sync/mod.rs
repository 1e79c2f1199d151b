//! `/sync`: what changed for a user between two places in the stream.
//!
//! A sync costs what changed, not what the account holds. [`plan`] finds the rooms with something new,
//! out of what is in memory or, for tokens from before the server's start, by one query. Each room is
//! then written by itself: [`joined`], [`left`] and [`invited`] put together what [`timeline`], [`state`],
//! [`summary`], [`ephemeral`], [`account_data`] and [`unread`] find. How it is written is told apart from
//! that: [`v3`] writes it for clients of today, [`v2_alpha`] and [`initial`] for those of 2015, and
//! [`events`] puts it in one row. The answer is spliced from bytes that
//! are kept with the events; an initial sync is sent room by room and never held as a whole.
//!
//! Everything at or before the position `upto` is complete when it is read. Rows that only hold the last
//! value (receipts, account data) may be newer: those are left to the next sync. Membership decides what
//! is shown at all, so a sync goes at least as far as the newest membership of its user that it knows.

mod account_data;
mod ephemeral;
mod events;
pub(crate) mod filter;
mod initial;
mod invited;
mod joined;
mod left;
mod look;
pub(crate) mod notifying;
mod plan;
mod presence;
mod state;
mod stays;
mod stream;
mod summary;
mod timeline;
pub mod told;
pub mod unread;
mod v2_alpha;
mod v3;
mod wait;
mod write;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use ruma::presence::PresenceState;

pub use events::{EventsAsk, TIMEOUT_DEFAULT as EVENTS_TIMEOUT_DEFAULT, events};
pub use filter::Filter;
pub use initial::of_room as initial_of_room;
pub(crate) use look::settled;
pub(crate) use plan::rooms_changed;

use crate::{Home, refusal::Answer, rooms::show::Format, token::Token, who::Device};

/// The longest that a sync waits for something to happen.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(5 * 60);

/// What a client asks of `/sync`.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Up to where the client knows everything; `None` at first.
    pub since: Option<Token>,
    /// What the client wants to know.
    pub filter: Arc<Filter>,
    /// Whether it wants the whole state again.
    pub full_state: bool,
    /// Whether the state is to be that after the timeline, not before it.
    pub use_state_after: bool,
    /// What the client says of its user's presence.
    pub set_presence: PresenceState,
    /// How long to wait for something to happen, at most [`TIMEOUT_MAX`].
    pub timeout: Duration,
}

/// An answer to `/sync`: a JSON object.
pub enum Synced {
    /// In one piece.
    Whole(String),
    /// Piece by piece.
    Streamed(BoxStream<'static, Answer<Bytes>>),
}

/// `GET /_matrix/client/v3/sync`
///
/// # Errors
/// `M_INVALID_PARAM` if the token is none of ours, `M_LIMIT_EXCEEDED` after too many initial syncs.
pub async fn sync(home: &Home, who: &Device, ask: Ask) -> Answer<Synced> {
    wait::sync::<v3::V3>(home, who, ask).await
}

/// `GET /_matrix/client/v2_alpha/sync`, of 2015. `use_state_after` is as if it were set: the state is that
/// after the timeline.
///
/// # Errors
/// As [`sync`].
pub async fn v2_alpha(home: &Home, who: &Device, ask: Ask) -> Answer<Synced> {
    wait::sync::<v2_alpha::V2Alpha>(home, who, Ask { use_state_after: true, ..ask }).await
}

/// `GET /initialSync`: everything, with the `limit` newest events of each room; also of rooms that the
/// user has left, if they are `archived`.
///
/// # Errors
/// `M_LIMIT_EXCEEDED` after too many initial syncs.
pub async fn initial(
    home: &Home,
    who: &Device,
    format: Format,
    limit: usize,
    archived: bool,
) -> Answer<Synced> {
    let ask = Ask {
        since: None,
        filter: Arc::new(Filter::initial(format, limit, archived)),
        full_state: false,
        use_state_after: false,
        set_presence: PresenceState::Online,
        timeout: Duration::ZERO,
    };
    wait::sync::<initial::Initial>(home, who, ask).await
}

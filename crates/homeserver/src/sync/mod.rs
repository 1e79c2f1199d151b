//! `/sync`: what changed for a user between two places in the stream.
//!
//! A sync costs what changed, not what the account holds. [`plan`] finds the rooms with something new,
//! out of what is in memory or, for tokens from before the server's start, by one query. Each room is
//! then written by itself: [`joined`], [`left`] and [`invited`] put together what [`timeline`], [`state`],
//! [`summary`], [`ephemeral`], [`account_data`] and [`unread`] write. The answer is spliced from bytes that
//! are kept with the events; an initial sync is sent room by room and never held as a whole.
//!
//! Everything at or before the position `upto` is complete when it is read. Rows that only hold the last
//! value (receipts, account data) may be newer: those are left to the next sync. Membership decides what
//! is shown at all, so a sync goes at least as far as the newest membership of its user that it knows.

mod account_data;
mod ephemeral;
mod filter;
mod invited;
mod joined;
mod left;
mod look;
mod plan;
mod presence;
mod state;
mod stays;
mod stream;
mod summary;
mod timeline;
pub mod unread;
mod wait;
mod write;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use ruma::presence::PresenceState;

pub use filter::Filter;
pub use wait::sync;

use crate::{refusal::Answer, token::Token};

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

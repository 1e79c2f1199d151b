//! Receipts and read markers: up to where a user has read.
//!
//! Spec: client-server API, «Receipts», «Fully read markers». They only go forwards, which the
//! database decides as it keeps them.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use store::{Batch, account_data, receipts::Receipt};

use crate::{
    Home, presence,
    refusal::{Answer, Refusal},
    rooms::{Room, TimelineEvent, memberships, timeline, visibility::Viewer},
    who::Device,
};

/// Events that are followed to find the thread that one belongs to.
const HOPS_MAX: usize = 3;

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everybody may know.
    Read,
    /// Nobody else may know.
    ReadPrivate,
    /// A marker for the user's own clients.
    FullyRead,
}

impl Kind {
    /// As the specification writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Read => "m.read",
            Kind::ReadPrivate => "m.read.private",
            Kind::FullyRead => "m.fully_read",
        }
    }

    /// Reads the type in a path.
    ///
    /// # Errors
    /// `M_INVALID_PARAM`
    pub fn read(text: &str) -> Answer<Self> {
        let kinds = [Kind::Read, Kind::ReadPrivate, Kind::FullyRead];
        let kind = kinds.into_iter().find(|kind| kind.as_str() == text);
        kind.ok_or_else(|| Refusal::invalid_param("There is no such type of receipt"))
    }
}

/// Notes that `who` has read `room_id` up to `event_id`; `thread_id` is `main`, the root of a thread, or
/// nothing. A receipt that is behind the one before changes nothing.
///
/// # Errors
/// `M_FORBIDDEN` if the user is not joined, `M_NOT_FOUND` if there is no such event for the user,
/// `M_INVALID_PARAM` if the event is not in that thread.
pub async fn send(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    kind: Kind,
    event_id: &EventId,
    thread_id: Option<&str>,
) -> Answer<()> {
    let room = memberships::joined_room(home, who.user(), room_id).await?;
    let event = visible(home, who, &room, event_id).await?;
    if let Some(thread_id) = thread_id {
        check_thread(home, &room, kind, &event, thread_id).await?;
    }
    presence::acts(home, who.user());
    let receipt = Receipt {
        user_id: who.user_id.to_string(),
        receipt_type: kind.as_str().to_owned(),
        thread_id: thread_id.unwrap_or_default().to_owned(),
        event_id: event_id.to_string(),
        event_pos: event.pos,
        ts: home.clock.now_ms(),
        pos: 0,
    };
    match keep(home, who, room, kind, &receipt).await {
        // It would have gone back.
        Ok(()) | Err(store::Error::Refused { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn visible(home: &Home, who: &Device, room: &Room, event_id: &EventId) -> Answer<TimelineEvent> {
    let unknown = || Refusal::not_found("There is no such event in the room");
    let event = timeline::get(home, room, event_id).await?.ok_or_else(unknown)?;
    let standings = memberships::of_user(home, who.user()).await?;
    let member = standings.in_room(room.key).cloned();
    let viewer = Viewer::with(Some(who.user()), member, home.db.upto());
    if viewer.may_see(home, room, &event).await? { Ok(event) } else { Err(unknown()) }
}

async fn keep(
    home: &Home,
    who: &Device,
    room: Arc<Room>,
    kind: Kind,
    receipt: &Receipt,
) -> store::Result<()> {
    let mut batch = Batch::new();
    let pos = batch.pos();
    store::receipts::put(&mut batch, room.key, pos, receipt);
    if kind == Kind::FullyRead {
        let content = serde_json::json!({ "event_id": receipt.event_id }).to_string();
        account_data::put(&mut batch, pos, who.user().as_str(), room.key, kind.as_str(), content);
    } else {
        store::rooms::touch(&mut batch, room.key, pos);
    }
    let (home_then, user_then, key) = (home.clone(), who.user_id.clone(), room.key);
    batch.then(move |at| {
        let (home, pos) = (home_then, at.at(pos));
        if kind == Kind::FullyRead {
            home.lately_account_data.note(&*user_then, pos);
        } else {
            home.lately_receipts.note(key, pos);
            home.unread.read(&user_then, key);
            home.pushers.read(&user_then, pos);
            home.rooms.changed(key, pos);
        }
    });
    let (home_then, user) = (home.clone(), who.user_id.clone());
    let told = (kind == Kind::Read).then_some(room);
    batch.once_published(move |_| home_then.bell.ring_soon(told, vec![user]));
    home.db.commit(batch).await.map(drop)
}

async fn check_thread(
    home: &Home,
    room: &Room,
    kind: Kind,
    event: &TimelineEvent,
    thread_id: &str,
) -> Answer<()> {
    let wrong = |text: &'static str| Err(Refusal::invalid_param(text));
    if kind == Kind::FullyRead {
        return wrong("m.fully_read is not about a thread");
    }
    let thread = thread_of(home, room, event).await?;
    let fits = match thread_id {
        "main" => thread.is_none(),
        root if EventId::parse(root).is_err() => {
            return wrong("thread_id must be main or the id of an event");
        }
        root => thread.as_ref().is_some_and(|thread| thread == root) || event.event.event_id() == root,
    };
    if fits { Ok(()) } else { wrong("The event is not in that thread") }
}

/// The root of the thread that `event` is in; `None`: in the main timeline.
pub(crate) async fn thread_of(
    home: &Home,
    room: &Room,
    event: &TimelineEvent,
) -> Answer<Option<OwnedEventId>> {
    let mut relation = relation_of(event);
    for _ in 0..HOPS_MAX {
        let Some(RelatesTo { rel_type, event_id }) = relation else { return Ok(None) };
        if rel_type == "m.thread" {
            return Ok(Some(event_id));
        }
        let parent = timeline::get(home, room, &event_id).await?;
        relation = parent.as_ref().and_then(relation_of);
    }
    Ok(None)
}

/// What an event points to.
#[derive(Deserialize)]
pub(crate) struct RelatesTo {
    /// How.
    pub(crate) rel_type: String,
    /// To which event.
    pub(crate) event_id: OwnedEventId,
}

/// What `event` points to, if anything.
pub(crate) fn relation_of(event: &TimelineEvent) -> Option<RelatesTo> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: Option<RelatesTo>,
    }
    // The key must be there as text before it can be there as a key.
    let pointing = event.event.content_str().contains(r#""m.relates_to""#);
    let content: Option<Content> = pointing.then(|| event.event.content_as().ok()).flatten();
    content.and_then(|content| content.relates_to)
}

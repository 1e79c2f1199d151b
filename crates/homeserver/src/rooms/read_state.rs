//! Reading the state of a room, and who is in it.

use std::{fmt::Write, sync::Arc};

use rules::{event::Event, state_tree::Root};
use ruma::{OwnedEventId, RoomId, events::room::member::MembershipState};
use serde::Serialize;

use super::{
    Room,
    effects::MemberContent,
    show::{self, Form, Format},
    state, timeline,
    visibility::{self, Viewer},
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    who::Device,
};

/// State events that are read at once.
const EVENTS_AT_ONCE: usize = 1_000;

/// `GET /_matrix/client/v3/rooms/{roomId}/state`: all of it, as a JSON list.
///
/// # Errors
/// `M_FORBIDDEN` to who never was in the room.
pub async fn all(home: &Home, who: &Device, room_id: &RoomId, form: Form<'_>) -> Answer<String> {
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    let root = viewer.state_view(home, &room).await?;
    whole(home, (&room, &viewer), root, form).await
}

/// The state `root` of `room`, as a JSON list.
///
/// # Errors
/// If the database does not answer.
pub(super) async fn whole(
    home: &Home,
    (room, viewer): (&Room, &Viewer),
    root: Root,
    form: Form<'_>,
) -> Answer<String> {
    let entries = state::entries(home, root, |_| true).await?;
    let ids: Vec<OwnedEventId> = entries.into_iter().map(|entry| entry.event_id).collect();
    list(home, (room, viewer), &ids, form, |_| true).await
}

/// Those of the state events that `wanted` accepts, as a JSON list: out of memory where they are there,
/// for a large room is asked for by everybody who comes in.
async fn list(
    home: &Home,
    (room, viewer): (&Room, &Viewer),
    ids: &[OwnedEventId],
    form: Form<'_>,
    wanted: impl Fn(&Event) -> bool,
) -> Answer<String> {
    let mut shown = Vec::with_capacity(ids.len());
    for ids in ids.chunks(EVENTS_AT_ONCE) {
        if form.format == Format::V1 {
            let mut events = timeline::by_ids(home, room, ids).await?;
            events.retain(|event| wanted(&event.event));
            shown.extend(show::old_state(home, (room, viewer), &events, form).await?);
        } else {
            let mut events = state::events_by_id(home, room, ids).await?;
            events.retain(|event| wanted(event));
            shown.extend(show::state(home, &events, form));
        }
        // Others have a turn between the parts of a large room.
        tokio::task::yield_now().await;
    }
    let mut out = String::new();
    show::write_list(&mut out, &shown);
    Ok(out)
}

/// `GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}`: the content, or the event.
///
/// # Errors
/// `M_FORBIDDEN` to who never was in the room, `M_NOT_FOUND` if there is no such state.
pub async fn one(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    (event_type, state_key): (&str, &str),
    whole: bool,
) -> Answer<String> {
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    let root = viewer.state_view(home, &room).await?;
    let none =
        || Refusal::not_found(format!("The room has no {event_type} with the state key {state_key:?}"));
    let event_id = state::get(home, root, event_type, state_key).await?.ok_or_else(none)?;
    if !whole {
        return Ok(state::event_by_id(home, &room, &event_id).await?.content_str().to_owned());
    }
    let event = Arc::new(timeline::get(home, &room, &event_id).await?.ok_or_else(none)?);
    let shown = show::event(home, &room, &viewer, &event, Form::whole(Some(who.device()))).await?;
    Ok(shown.as_str().to_owned())
}

/// Which members somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// As the room was at this position, if not now.
    pub at: Option<i64>,
    /// Those with this membership …
    pub membership: Option<MembershipState>,
    /// … or without this one.
    pub not_membership: Option<MembershipState>,
}

impl Wanted {
    fn accepts(&self, event: &Event) -> bool {
        let Ok(content) = event.content_as::<MemberContent>() else { return false };
        let is = self.membership.as_ref().map(|wanted| content.membership == *wanted);
        let is_not = self.not_membership.as_ref().map(|unwanted| content.membership != *unwanted);
        match (is, is_not) {
            (None, None) => true,
            (is, is_not) => is == Some(true) || is_not == Some(true),
        }
    }
}

/// `GET /_matrix/client/v3/rooms/{roomId}/members`
///
/// # Errors
/// `M_FORBIDDEN` to who never was in the room, or may not see that part of its history.
pub async fn members(
    home: &Home,
    who: &Device,
    room_id: &RoomId,
    wanted: Wanted,
    form: Form<'_>,
) -> Answer<String> {
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    let root = match wanted.at {
        None => viewer.state_view(home, &room).await?,
        Some(at) => {
            let newest = timeline::before(home, &room, at.min(home.db.upto()), 1).await?;
            match newest.first() {
                // Who may not see what was said then may not see who was there either.
                Some(event) if viewer.may_see(home, &room, event).await? => event.root,
                _ => return Err(Refusal::forbidden("You may not see who was in this room then")),
            }
        }
    };
    let entries = state::entries(home, root, |event_type| event_type == "m.room.member").await?;
    let ids: Vec<OwnedEventId> = entries.into_iter().map(|entry| entry.event_id).collect();
    let list = list(home, (&room, &viewer), &ids, form, |event| wanted.accepts(event)).await?;
    Ok(format!(r#"{{"chunk":{list}}}"#))
}

/// `GET /_matrix/client/v3/rooms/{roomId}/joined_members`
///
/// # Errors
/// `M_FORBIDDEN` to who is not in the room.
pub async fn joined_members(home: &Home, who: &Device, room_id: &RoomId) -> Answer<String> {
    let (room, viewer) = visibility::look(home, room_id, Some(who.user())).await?;
    if !viewer.is_joined() {
        return Err(Refusal::forbidden("You are not in this room"));
    }
    let mut out = String::from(r#"{"joined":{"#);
    for (i, (user, display_name, avatar_url)) in
        store::members::joined(&home.db, room.key).await?.into_iter().enumerate()
    {
        let comma = if i > 0 { "," } else { "" };
        // Writing into memory has no way to fail.
        let _ = write!(out, "{comma}{}:{{", quoted(&user));
        if let Some(display_name) = &display_name {
            let _ = write!(out, r#""display_name":{}"#, quoted(display_name));
        }
        if let Some(avatar_url) = &avatar_url {
            let comma = if display_name.is_some() { "," } else { "" };
            let _ = write!(out, r#"{comma}"avatar_url":{}"#, quoted(avatar_url));
        }
        out.push('}');
    }
    out.push_str("}}");
    Ok(out)
}

fn quoted(text: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// `GET /_matrix/client/v3/joined_rooms`
///
/// # Errors
/// If the database does not answer.
pub async fn joined_rooms(home: &Home, who: &Device) -> Answer<Vec<String>> {
    Ok(store::members::joined_rooms(&home.db, who.user_id.as_str()).await?)
}

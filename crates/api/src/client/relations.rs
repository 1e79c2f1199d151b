//! What points to an event: relations and threads.

use homeserver::{
    Answer, Home, Token,
    rooms::{
        relations::{self, PAGE_EVENTS, Wanted},
        show,
    },
};
use ruma::{
    EventId, RoomId, UInt,
    api::{
        Direction,
        client::{
            relations::{
                get_relating_events as any, get_relating_events_with_rel_type as of_kind,
                get_relating_events_with_rel_type_and_event_type as of_kind_and_type,
            },
            threads::get_threads,
        },
    },
};

use crate::{answer::Json, caller::DeviceOrGuest, client::messages::token};

fn limit_of(limit: Option<UInt>) -> usize {
    limit.map_or(PAGE_EVENTS, |limit| usize::try_from(limit).unwrap_or(usize::MAX)).max(1)
}

/// Which part of the list: where it begins, where it ends, at most how much, and how deep.
type Part = (Direction, Option<String>, Option<String>, Option<UInt>, bool);

async fn page(
    home: &Home,
    who: &DeviceOrGuest,
    (room_id, event_id): (&RoomId, &EventId),
    (rel_type, event_type): (Option<&str>, Option<&str>),
    (direction, from, to, limit, recurse): Part,
) -> Answer<Json> {
    let (from, to) = (token(from.as_deref())?, token(to.as_deref())?);
    let limit = limit_of(limit);
    let wanted = Wanted { room_id, event_id, rel_type, event_type, direction, from, to, limit, recurse };
    let page = relations::page(home, who.0.user(), who.0.device(), wanted).await?;
    let mut out = String::from(r#"{"chunk":"#);
    show::write_list(&mut out, &page.chunk);
    write_token(&mut out, "next_batch", page.next);
    write_token(&mut out, "prev_batch", from);
    if let Some(depth) = page.recursion_depth {
        out.push_str(&format!(r#","recursion_depth":{depth}"#));
    }
    out.push('}');
    Ok(Json(out.into()))
}

fn write_token(out: &mut String, name: &str, token: Option<Token>) {
    if let Some(token) = token {
        out.push_str(&format!(r#","{name}":"{token}""#));
    }
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}`
pub async fn get(home: Home, who: DeviceOrGuest, ask: any::v1::Request) -> Answer<Json> {
    let part = (ask.dir, ask.from, ask.to, ask.limit, ask.recurse);
    page(&home, &who, (&ask.room_id, &ask.event_id), (None, None), part).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}`
pub async fn get_of_kind(home: Home, who: DeviceOrGuest, ask: of_kind::v1::Request) -> Answer<Json> {
    let part = (ask.dir, ask.from, ask.to, ask.limit, ask.recurse);
    let rel_type = ask.rel_type.as_str();
    page(&home, &who, (&ask.room_id, &ask.event_id), (Some(rel_type), None), part).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/relations/{eventId}/{relType}/{eventType}`
pub async fn get_of_kind_and_type(
    home: Home,
    who: DeviceOrGuest,
    ask: of_kind_and_type::v1::Request,
) -> Answer<Json> {
    let part = (ask.dir, ask.from, ask.to, ask.limit, ask.recurse);
    let (rel_type, event_type) = (ask.rel_type.as_str(), ask.event_type.to_string());
    page(&home, &who, (&ask.room_id, &ask.event_id), (Some(rel_type), Some(&event_type)), part).await
}

/// `GET /_matrix/client/v1/rooms/{roomId}/threads`
pub async fn threads(
    home: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    ask: get_threads::v1::Request,
) -> Answer<Json> {
    let participated = ask.include == get_threads::v1::IncludeThreads::Participated;
    let (from, limit) = (token(ask.from.as_deref())?, limit_of(ask.limit));
    let asker = (who.user(), who.device());
    let (chunk, next) = relations::threads(&home, asker, &ask.room_id, from, limit, participated).await?;
    let mut out = String::from(r#"{"chunk":"#);
    show::write_list(&mut out, &chunk);
    write_token(&mut out, "next_batch", next);
    out.push('}');
    Ok(Json(out.into()))
}

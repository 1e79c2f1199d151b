//! Filters that clients upload once and name later.
//!
//! Spec: client-server API, «Filtering». A filter's id follows from its text, so the same filter
//! uploaded at every start of a client is kept once.

use std::borrow::Cow;

use rules::{
    event_fields::EventFields,
    filter::{EventFilter, Names},
};
use ruma::{UserId, api::client::filter::FilterDefinition};
use store::Batch;

use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// Bytes of a filter.
pub const FILTER_BYTES_MAX: usize = 32 * 1024;

/// Filters that a user may keep.
const FILTERS_MAX: i64 = 1_000;

/// Keeps a filter of `user`, given as JSON, and answers its id.
///
/// # Errors
/// `M_NOT_JSON`, `M_BAD_JSON`, `M_TOO_LARGE`; `M_UNKNOWN` if the user has too many filters.
pub async fn put(home: &Home, user: &UserId, json: &str) -> Answer<String> {
    read(json)?;
    let hash = blake3::hash(json.as_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hash.as_bytes()[..8]);
    // Without the sign, so that the id is digits only.
    let filter_id = i64::from_le_bytes(number) & i64::MAX;
    let mut batch = Batch::new();
    store::filters::put(&mut batch, user.as_str(), filter_id, json, FILTERS_MAX);
    home.db.commit(batch).await.map_err(|error| match error {
        store::Error::Refused { .. } => {
            Refusal::unknown(format!("A user keeps at most {FILTERS_MAX} filters"))
        }
        error => error.into(),
    })?;
    Ok(filter_id.to_string())
}

/// The JSON of a filter that `user` keeps.
///
/// # Errors
/// `M_NOT_FOUND`
pub async fn get(home: &Home, user: &UserId, filter_id: &str) -> Answer<String> {
    let unknown = || Refusal::not_found("There is no such filter");
    let digits = filter_id.bytes().all(|byte| byte.is_ascii_digit());
    let number = filter_id.parse().ok().filter(|_| digits).ok_or_else(unknown)?;
    store::filters::get(&home.db, user.as_str(), number).await?.ok_or_else(unknown)
}

/// The filter that a query names, by its id, as JSON in place, or nothing at all: its JSON and what that says.
///
/// # Errors
/// `M_INVALID_PARAM` if there is no filter with that id or the JSON is not a filter.
pub async fn of_query<'a>(
    home: &Home,
    user: &UserId,
    named: &'a str,
) -> Answer<(Cow<'a, str>, FilterDefinition)> {
    let wrong = |refusal: Refusal| match refusal.status {
        500.. => refusal,
        _ => Refusal::invalid_param(format!("The filter: {}", refusal.message)),
    };
    let json = match named {
        "" => Cow::Borrowed("{}"),
        json if json.starts_with('{') => Cow::Borrowed(json),
        filter_id => Cow::Owned(get(home, user, filter_id).await.map_err(wrong)?),
    };
    let filter = read(&json).map_err(wrong)?;
    Ok((json, filter))
}

/// Reads a filter and tries whether all of it can be used.
fn read(json: &str) -> Answer<FilterDefinition> {
    if json.len() > FILTER_BYTES_MAX {
        return Err(Refusal::too_large(format!("A filter has at most {FILTER_BYTES_MAX} bytes")));
    }
    let filter: FilterDefinition = serde_json::from_str(json).map_err(|error| {
        let message = format!("A filter: {error}");
        if error.is_data() { Refusal::bad_json(message) } else { Refusal::not_json(message) }
    })?;
    let room = &filter.room;
    Names::new(room.rooms.as_deref(), &room.not_rooms)?;
    for part in [&room.account_data, &room.timeline, &room.ephemeral, &room.state] {
        EventFilter::of_room_events(part)?;
    }
    for part in [&filter.presence, &filter.account_data] {
        EventFilter::of_events(part)?;
    }
    filter.event_fields.as_deref().map(EventFields::new).transpose()?;
    Ok(filter)
}

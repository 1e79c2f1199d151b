//! Filters that clients upload once and name later.
//!
//! Spec: client-server API, «Filtering». A filter's id follows from its text, so the same filter
//! uploaded at every start of a client is kept once.

use ruma::UserId;
use store::Batch;

use crate::{
    Home,
    refusal::{Answer, Refusal},
    sync::Filter,
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
    Filter::compile(json)?;
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

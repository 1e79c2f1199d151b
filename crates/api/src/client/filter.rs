//! Filters: `/_matrix/client/v3/user/{userId}/filter`

use homeserver::{Answer, Home, Refusal, filters, who::Device};
use ruma::UserId;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// `POST /_matrix/client/v3/user/{userId}/filter`
///
/// Keeps a filter as the client wrote it, with whatever a later specification puts into it.
pub async fn create(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    own(&who, &ask)?;
    let json = str::from_utf8(&ask.body).map_err(|_| Refusal::not_json("The filter is not UTF-8"))?;
    let filter_id = filters::put(&home, who.user(), json).await?;
    Json::of(&serde_json::json!({ "filter_id": filter_id }))
}

/// `GET /_matrix/client/v3/user/{userId}/filter/{filterId}`
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    own(&who, &ask)?;
    let filter_id: String = ask.path.get(1).cloned().unwrap_or_default();
    Ok(Json(filters::get(&home, who.user(), &filter_id).await?.into()))
}

/// Filters are nobody else's business.
fn own(who: &Device, ask: &Plain) -> Answer<()> {
    let user_id: &UserId = ask
        .path
        .first()
        .map(String::as_str)
        .unwrap_or_default()
        .try_into()
        .map_err(|_| Refusal::invalid_param("The path names no user"))?;
    if user_id != who.user() {
        return Err(Refusal::forbidden("You have only your own filters"));
    }
    Ok(())
}

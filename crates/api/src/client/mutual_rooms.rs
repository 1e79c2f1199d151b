//! Rooms in common with another user: as v1.19 has it, and as the proposal (MSC2666) had it.

use homeserver::{Answer, Home, Refusal, directory::mutual_rooms, who::Device};
use ruma::{OwnedUserId, UserId};
use serde_json::json;

use crate::{answer::Json, caller::DeviceOrGuest, plain::Plain};

/// The path of v1.19.
pub const PATH: &str = "/_matrix/client/v1/mutual_rooms";
/// The path that the proposal meant to have.
pub const PROPOSED_PATH: &str = "/_matrix/client/v1/user/mutual_rooms";
/// The path of the proposal before it was accepted.
pub const UNSTABLE_PATH: &str = "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms";

/// `GET /_matrix/client/v1/mutual_rooms`
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    page(&home, &who, &ask, PATH, Refusal::invalid_param).await
}

/// `GET /_matrix/client/v1/user/mutual_rooms`
pub async fn get_proposed(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    page(&home, &who, &ask, PROPOSED_PATH, Refusal::unknown).await
}

/// `GET /_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms`
pub async fn get_unstable(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Json> {
    page(&home, &who, &ask, UNSTABLE_PATH, Refusal::unknown).await
}

/// `about_oneself` is the errcode for asking about oneself, in which the documents differ.
async fn page(
    home: &Home,
    who: &Device,
    ask: &Plain,
    path: &'static str,
    about_oneself: fn(&'static str) -> Refusal,
) -> Answer<Json> {
    let target = user_id(ask)?;
    if target == who.user_id {
        return Err(about_oneself("You can not ask for the rooms that you have in common with yourself"));
    }
    let mut from = ask.query_all("from");
    let (from, again) = (from.next(), from.next());
    if again.is_some() {
        return Err(Refusal::invalid_param("`from` was given twice"));
    }
    let page = mutual_rooms::page(home, who.user(), &target, from, path).await?;
    let mut reply = json!({ "joined": page.joined, "count": page.count });
    if let Some(next_batch) = page.next_batch {
        reply["next_batch"] = next_batch.into();
    }
    Json::of(&reply)
}

/// The one `user_id` of the query. Historical user ids are fine as far as they are compliant:
/// <https://spec.matrix.org/v1.19/appendices/#historical-user-ids>
fn user_id(ask: &Plain) -> Answer<OwnedUserId> {
    let mut given = ask.query_all("user_id");
    let (Some(user_id), None) = (given.next(), given.next()) else {
        return Err(Refusal::invalid_param("`user_id` must be given, and once"));
    };
    let compliant = |user_id: &OwnedUserId| {
        let localpart = user_id.localpart();
        !localpart.is_empty() && localpart.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
    };
    let user_id = UserId::parse(user_id).ok().filter(compliant);
    user_id.ok_or_else(|| Refusal::invalid_param("`user_id` is not a user id"))
}

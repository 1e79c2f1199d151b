//! Networks that bridges connect: `/_matrix/client/v3/thirdparty/…`. There are none.

use homeserver::{Answer, Home, Refusal, who::Device};
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/v3/thirdparty/protocols`
pub async fn protocols(_: Home, _: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({}))
}

/// `GET /_matrix/client/v3/thirdparty/{protocol,location,user}/{protocol}`
pub async fn of_protocol(_: Home, _: Device, _: Plain) -> Answer<Json> {
    Err(Refusal::not_found("No bridge of this server knows that protocol"))
}

/// `GET /_matrix/client/v3/thirdparty/location` and `…/user`
pub async fn of_matrix(_: Home, _: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!([]))
}

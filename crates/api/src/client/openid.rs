//! OpenID tokens, and what services learn by them.

use homeserver::{
    Answer, Home, Refusal,
    accounts::openid,
    who::{Anyone, Device},
};
use ruma::OwnedUserId;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `POST /_matrix/client/v3/user/{userId}/openid/request_token`
pub async fn request_token(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let user_id: OwnedUserId = ask.path(0)?;
    let token = openid::request_token(&home, &who, &user_id).await?;
    Json::of(&json!({
        "access_token": token,
        "token_type": "Bearer",
        "matrix_server_name": home.server_name(),
        "expires_in": openid::TOKEN_LIFE.as_secs(),
    }))
}

/// `GET /_matrix/federation/v1/openid/userinfo`
///
/// Tells a service whose token it was given.
pub async fn userinfo(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let missing = || Refusal::missing_token("This needs `access_token` in the query");
    let token = ask.query("access_token").ok_or_else(missing)?;
    Json::of(&json!({ "sub": openid::user_of(&home, token).await? }))
}

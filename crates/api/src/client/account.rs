//! `/_matrix/client/v3/account/{password,deactivate,3pid}`, `/_matrix/client/v1/login/get_token`

use homeserver::{
    Answer, Home,
    accounts::{login_tokens, own},
    who::Device,
};
use serde_json::json;

use crate::{answer::Json, interactive::Interactive, plain::Plain};

/// `POST /_matrix/client/v3/account/password`: a new password.
pub async fn change_password(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    own::change_password(&home, &who, ask.ask()).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/account/deactivate`: closes the account for good.
pub async fn deactivate(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    own::deactivate(&home, &who, ask.ask()).await?;
    // No third-party identifier is bound here, so all of them are unbound.
    Json::of(&json!({ "id_server_unbind_result": "success" }))
}

/// `POST /_matrix/client/v1/login/get_token`: lets another client of the same user in.
pub async fn login_token(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    let login_token = own::login_token(&home, &who, ask.ask()).await?;
    Json::of(&json!({ "login_token": login_token, "expires_in_ms": login_tokens::LIFE_MS }))
}

/// `GET /_matrix/client/v3/account/3pid`: addresses of the account. Nobody has any here.
pub async fn addresses(_: Home, _: Device, _: Plain) -> Answer<Json> {
    Json::of(&json!({ "threepids": [] }))
}

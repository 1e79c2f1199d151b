//! `/_matrix/client/v3/account/{password,deactivate}`, `/_matrix/client/v1/login/get_token`

use homeserver::{
    Answer, Home,
    accounts::{login_tokens, own},
    who::{Device, Kind},
};
use serde_json::json;

use super::threepids::unbind_result;
use crate::{
    answer::Json,
    caller::{DeviceOrGuest, no_guests},
    interactive::Interactive,
};

/// `POST /_matrix/client/v3/account/password`: a new password, for whoever is logged in or has an address
/// of the account.
pub async fn change_password(home: Home, who: Option<DeviceOrGuest>, ask: Interactive) -> Answer<Json> {
    match who {
        None => own::reset_password(&home, ask.ask()).await?,
        Some(DeviceOrGuest(who)) if who.kind == Kind::Guest => return Err(no_guests()),
        Some(DeviceOrGuest(who)) => own::change_password(&home, &who, ask.ask()).await?,
    }
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/account/deactivate`: closes the account for good.
pub async fn deactivate(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    let unbound = own::deactivate(&home, &who, ask.ask()).await?;
    Json::of(&json!({ "id_server_unbind_result": unbind_result(unbound) }))
}

/// `POST /_matrix/client/v1/login/get_token`: lets another client of the same user in.
pub async fn login_token(home: Home, who: Device, ask: Interactive) -> Answer<Json> {
    let login_token = own::login_token(&home, &who, ask.ask()).await?;
    Json::of(&json!({ "login_token": login_token, "expires_in_ms": login_tokens::LIFE_MS }))
}

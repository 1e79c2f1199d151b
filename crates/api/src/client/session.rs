//! Logging in, refreshing, logging out: `/_matrix/client/v3/{login,refresh,logout,account/whoami}`

use homeserver::{
    Answer, Home, Refusal,
    accounts::{
        closing, login, oauth2,
        opening::{self, Opened},
    },
    config::Provider,
    who::{Anyone, Kind},
};
use ruma::api::client::{account::whoami, session::get_login_types::v3 as get_login_types};
use serde_json::{Value, json};

use crate::{
    answer::Json,
    caller::{DeviceOrGuest, Leaving},
    client::well_known,
    plain::Plain,
};

/// Adds the tokens of a session to an answer.
pub(super) fn tokens(reply: &mut Value, session: &Opened) {
    reply["device_id"] = session.device_id.as_str().into();
    reply["access_token"] = session.access_token.as_str().into();
    if let Some(refresh_token) = &session.refresh_token {
        reply["refresh_token"] = refresh_token.as_str().into();
    }
    if let Some(expires_in_ms) = session.expires_in_ms {
        reply["expires_in_ms"] = expires_in_ms.into();
    }
}

/// `GET /_matrix/client/v3/login`: the ways to log in.
pub async fn flows(home: Home, _: Anyone, _: get_login_types::Request) -> Answer<Json> {
    let by_token = json!({ "type": "m.login.token", "get_login_token": true });
    let mut flows = vec![json!({ "type": "m.login.password" }), by_token];
    if oauth2::is_offered(&home) {
        let providers: Vec<Value> = home.config.oauth2.providers.iter().map(identity_provider).collect();
        flows.push(json!({ "type": "m.login.sso", "identity_providers": providers }));
    }
    Json::of(&json!({ "flows": flows }))
}

fn identity_provider(provider: &Provider) -> Value {
    let mut object = json!({ "id": provider.id, "name": provider.name });
    if let Some(brand) = &provider.brand {
        object["brand"] = brand.as_str().into();
    }
    object
}

/// `POST /_matrix/client/v3/login`: opens a session.
pub async fn login(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let session = login::login(&home, &ask.json()?).await?;
    let mut reply = json!({ "user_id": session.user_id, "home_server": home.server_name() });
    tokens(&mut reply, &session);
    if let Some(well_known) = well_known::client_object(&home) {
        reply["well_known"] = well_known;
    }
    Json::of(&reply)
}

/// A refresh token in the body of a request.
#[derive(serde::Deserialize)]
pub(super) struct Refresh {
    refresh_token: Option<String>,
}

impl Refresh {
    /// The token.
    ///
    /// # Errors
    /// `M_MISSING_PARAM`
    pub(super) fn token(self) -> Answer<String> {
        self.refresh_token.ok_or_else(|| Refusal::missing_param("refresh_token is missing"))
    }
}

/// `POST /_matrix/client/v3/refresh`: a new access token for a refresh token.
pub async fn refresh(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let ask: Refresh = ask.json()?;
    let session = opening::refresh(&home, &ask.token()?, false).await?;
    let mut reply = json!({
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
    });
    if let Some(expires_in_ms) = session.expires_in_ms {
        reply["expires_in_ms"] = expires_in_ms.into();
    }
    Json::of(&reply)
}

/// `POST /_matrix/client/v3/logout`: ends the session and its device.
pub async fn logout(home: Home, Leaving(who): Leaving, _: Plain) -> Answer<Json> {
    closing::logout(&home, &who).await?;
    Json::of(&json!({}))
}

/// `POST /_matrix/client/v3/logout/all`: ends all sessions and devices of the user.
pub async fn logout_all(home: Home, Leaving(who): Leaving, _: Plain) -> Answer<Json> {
    closing::logout_all(&home, &who).await?;
    Json::of(&json!({}))
}

/// `GET /_matrix/client/v3/account/whoami`: whom an access token stands for.
pub async fn whoami(
    _: Home,
    DeviceOrGuest(who): DeviceOrGuest,
    _: whoami::v3::Request,
) -> Answer<whoami::v3::Response> {
    let mut response = whoami::v3::Response::new(who.user_id, who.kind == Kind::Guest);
    response.device_id = Some(who.device_id);
    Ok(response)
}

//! `/_matrix/client/api/v1/{login,tokenrefresh}` of 2015

use homeserver::{
    Answer, Home, Refusal,
    accounts::{
        login,
        oauth2::{self, Aim},
        opening::{self, Opened},
        staged::login::{self as by_mail, LoggedIn},
        uia::stages::OAUTH2,
    },
    who::Anyone,
};
use serde_json::{Value, json};

use crate::{answer::Json, client::session::Refresh, plain::Plain};

/// What a client gets whom an account was opened for.
pub(in crate::client) fn credentials(home: &Home, session: &Opened) -> Value {
    let mut reply = json!({
        "user_id": session.user_id,
        "access_token": session.access_token,
        "home_server": home.server_name(),
        "device_id": session.device_id,
    });
    if let Some(refresh_token) = &session.refresh_token {
        reply["refresh_token"] = refresh_token.as_str().into();
    }
    reply
}

/// `GET /_matrix/client/api/v1/login`: the ways to log in, each of one stage.
pub async fn flows(home: Home, _: Anyone, _: Plain) -> Answer<Json> {
    let mut flows = vec![json!({ "type": "m.login.password" }), json!({ "type": "m.login.token" })];
    if oauth2::is_offered(&home) {
        flows.push(json!({ "type": OAUTH2 }));
    }
    flows.extend(by_mail::stages(&home).into_iter().map(|stage| json!({ "type": stage })));
    Json::of(&json!({ "flows": flows }))
}

/// `POST /_matrix/client/api/v1/login`: opens a session. Its access token does not expire.
pub async fn login(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    let mut wish: login::Wish = ask.json()?;
    if wish.login_type.as_deref() == Some(OAUTH2) && oauth2::is_offered(&home) {
        // The answer to where the provider sends the browser back to is the session.
        let uri = oauth2::uri(&home, &Aim::Credentials { user: wish.user })?;
        return Json::of(&json!({ "uri": uri }));
    }
    (wish.session.refresh_token, wish.session.lasting) = (Some(true), true);
    if let Some(stage) = wish.login_type.as_deref().filter(|stage| by_mail::stages(&home).contains(stage)) {
        return Ok(match by_mail::log_in(&home, &ask.json()?, &wish.session, who.address).await? {
            LoggedIn::In(session) => Json::of(&credentials(&home, &session))?,
            LoggedIn::Sent(session) => Json::of(&json!({ "type": stage, "session": session }))?,
        });
    }
    let session = login::login(&home, &wish).await?;
    Json::of(&credentials(&home, &session))
}

/// `POST /_matrix/client/api/v1/tokenrefresh`: a new access token for a refresh token.
pub async fn refresh(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let ask: Refresh = ask.json()?;
    let session = opening::refresh(&home, &ask.token()?, true).await;
    let session = session.map_err(|refusal| match refusal.errcode {
        "M_UNKNOWN_TOKEN" => Refusal::forbidden("This refresh token is not valid: log in again"),
        _ => refusal,
    })?;
    Json::of(&json!({ "access_token": session.access_token, "refresh_token": session.refresh_token }))
}

//! `/_matrix/client/v3/register…`

use homeserver::{
    Answer, Home, Refusal,
    accounts::register::{self, Registered, Wish},
    who::Anyone,
};
use serde_json::{Map, Value, json};

use crate::{answer::Json, client::session::tokens, interactive::Interactive, plain::Plain};

/// `POST /_matrix/client/v3/register`: makes an account, of a user or of a guest.
pub async fn register(home: Home, who: Anyone, ask: Interactive) -> Answer<Json> {
    register_with(&home, &who, &ask, |_| Ok(())).await
}

/// The same, of a user whose wish is completed by `complete`.
pub(super) async fn register_with(
    home: &Home,
    who: &Anyone,
    ask: &Interactive,
    complete: impl FnOnce(&mut Wish) -> Answer<()>,
) -> Answer<Json> {
    let registered = match ask.plain.query("kind") {
        None | Some("user") => {
            let mut wish: Wish = ask.body()?;
            complete(&mut wish)?;
            register::user(home, &wish, ask.auth.as_ref(), who.address).await?
        }
        Some("guest") => {
            // Of what a guest sends only this is looked at, whatever the rest may be.
            let name = ask.body.get("initial_device_display_name").cloned();
            let name = name.map(|name| ("initial_device_display_name".to_owned(), name));
            let wish: Value = name.into_iter().collect::<Map<_, _>>().into();
            let wish = serde_json::from_value(wish).map_err(|error| Refusal::bad_json(error.to_string()))?;
            register::guest(home, &wish).await?
        }
        Some(_) => return Err(Refusal::invalid_param("kind is user or guest")),
    };
    let Registered { user_id, session } = registered;
    let mut reply = json!({ "user_id": user_id, "home_server": home.server_name() });
    if let Some(session) = session {
        tokens(&mut reply, &session);
    }
    Json::of(&reply)
}

/// `GET /_matrix/client/v3/register/available`: whether a username could be had.
pub async fn available(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let username = ask.query("username").ok_or_else(|| Refusal::missing_param("username is missing"))?;
    register::available(&home, username).await?;
    Json::of(&json!({ "available": true }))
}

/// `GET /_matrix/client/v1/register/m.login.registration_token/validity`
pub async fn token_validity(home: Home, _: Anyone, ask: Plain) -> Answer<Json> {
    let token = ask.query("token").ok_or_else(|| Refusal::missing_param("token is missing"))?;
    Json::of(&json!({ "valid": register::token_is_valid(&home, token).await? }))
}

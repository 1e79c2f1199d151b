//! Registration in 2015: `/_matrix/client/api/v1/register` stage by stage, and `registration.yaml` of v2_alpha.

use homeserver::{
    Answer, Home, Refusal,
    accounts::{
        register::Wish,
        staged::{self, Staged},
    },
    who::Anyone,
};
use serde_json::{Value, json};

use super::login::credentials;
use crate::{answer::Json, client::registration::register_with, interactive::Interactive, plain::Plain};

/// `GET /_matrix/client/api/v1/register`: the ways to get an account.
pub async fn flows(home: Home, _: Anyone, _: Plain) -> Answer<Json> {
    let flows = staged::flows(&home)?.into_iter().map(|stages| match stages[..] {
        [stage] => json!({ "type": stage }),
        _ => json!({ "type": stages.first(), "stages": stages }),
    });
    Json::of(&json!({ "flows": flows.collect::<Vec<Value>>() }))
}

/// `POST /_matrix/client/api/v1/register`: one stage.
pub async fn register(home: Home, who: Anyone, ask: Plain) -> Answer<Json> {
    match staged::register(&home, &ask.json()?, who.address).await? {
        Staged::Made(registered) => {
            let user_only = json!({ "user_id": registered.user_id, "home_server": home.server_name() });
            let reply = registered.session.map(|session| credentials(&home, &session));
            Json::of(&reply.unwrap_or(user_only))
        }
        Staged::More { session, next, more } => {
            let mut reply = Value::Object(more);
            reply["session"] = session.into();
            if let Some(next) = next {
                reply["next"] = next.into();
            }
            Json::of(&reply)
        }
    }
}

/// `POST /_matrix/client/v2_alpha/register`
///
/// Clients learn the flows without saying more; an account has a password. Its access token has no end,
/// and can be refreshed none the less, as in v1.
pub async fn register_v2(home: Home, who: Anyone, ask: Interactive) -> Answer<Json> {
    let complete = |wish: &mut Wish| {
        if wish.password.is_none() && ask.auth.is_some() {
            return Err(Refusal::missing_param("password is missing"));
        }
        wish.bind_email = match ask.body.get("bind_email") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(bind_email)) => *bind_email,
            Some(_) => return Err(Refusal::bad_json("bind_email must be true or false")),
        };
        (wish.session.refresh_token, wish.session.lasting) = (Some(true), true);
        Ok(())
    };
    register_with(&home, &who, &ask, complete).await
}

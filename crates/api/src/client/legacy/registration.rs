//! `/_matrix/client/api/v1/register` of 2015: stage by stage

use homeserver::{
    Answer, Home,
    accounts::staged::{self, Staged},
    who::Anyone,
};
use serde_json::{Value, json};

use super::login::credentials;
use crate::{answer::Json, plain::Plain};

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

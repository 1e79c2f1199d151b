//! Push notifications: `/_matrix/client/v3/pushrules/…`

use homeserver::{
    Answer, Home,
    push::{self, Name, Scope},
    who::Device,
};
use ruma::push::Action;
use serde::Deserialize;
use serde_json::json;

use crate::{answer::Json, plain::Plain};

/// `GET /_matrix/client/v3/pushrules/`
pub async fn all_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    let rules = push::rules(&home, who.user()).await?;
    Json::of(&json!({ "global": push::global(&rules) }))
}

/// `GET /_matrix/client/v3/pushrules/global/`
pub async fn global_rules(home: Home, who: Device, _: Plain) -> Answer<Json> {
    Json::of(&push::global(&*push::rules(&home, who.user()).await?))
}

/// The rule that a path ends with: its kind and id, in 2015 also the profile tag before them.
pub(super) fn name(ask: &Plain) -> Answer<Name> {
    match ask.path.get(2) {
        None => Name::new(Scope::Global, &ask.path::<String>(0)?, ask.path(1)?),
        Some(rule_id) => Name::new(Scope::Device(ask.path(0)?), &ask.path::<String>(1)?, rule_id.clone()),
    }
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
pub async fn rule(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    Json::of(&push::rule(&home, &who, &name(&ask)?).await?)
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
pub async fn set_rule(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let (after, before) = (ask.query("after"), ask.query("before"));
    push::set_rule(&home, &who, &name(&ask)?, ask.json()?, after, before).await?;
    Json::of(&json!({}))
}

/// `DELETE /_matrix/client/v3/pushrules/global/{kind}/{ruleId}`
pub async fn remove_rule(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    push::remove_rule(&home, &who, &name(&ask)?).await?;
    Json::of(&json!({}))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
pub async fn is_enabled(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let rule = push::rule(&home, &who, &name(&ask)?).await?;
    Json::of(&json!({ "enabled": rule["enabled"] }))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled`
pub async fn set_enabled(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    #[derive(Deserialize)]
    struct Body {
        enabled: bool,
    }
    let body: Body = ask.json()?;
    push::set_enabled(&home, &who, &name(&ask)?, body.enabled).await?;
    Json::of(&json!({}))
}

/// `GET /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
pub async fn actions(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    let rule = push::rule(&home, &who, &name(&ask)?).await?;
    Json::of(&json!({ "actions": rule["actions"] }))
}

/// `PUT /_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions`
pub async fn set_actions(home: Home, who: Device, ask: Plain) -> Answer<Json> {
    #[derive(Deserialize)]
    struct Body {
        actions: Vec<Action>,
    }
    let body: Body = ask.json()?;
    push::set_actions(&home, &who, &name(&ask)?, body.actions).await?;
    Json::of(&json!({}))
}

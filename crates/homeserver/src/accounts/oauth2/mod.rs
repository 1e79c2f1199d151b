//! Proving who one is at another service (OAuth 2.0, RFC 6749 with PKCE): for `m.login.oauth2` of 2015,
//! and for `m.login.sso`, which is the same seen by today's clients.
//!
//! [`journey`] sends the browser to the service and knows it again when it comes back; [`exchange`] asks
//! the service who that was; [`account`] knows whose account that is here. What is to happen then, the
//! [`Aim`], travels with the browser in sealed tickets: nothing is written before the service has
//! answered.
//!
//! A browser that set out from a page of this server has a cookie that belongs to its `state`. One that
//! was sent straight to the service by a client has none: somebody else may have talked its owner into
//! following that link. So they are asked first, with a name of what they are about to allow. So are
//! those who are about to give another site a login token.

pub mod account;
mod exchange;
pub mod journey;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Home,
    accounts::uia::{
        Failed,
        session::Session,
        stages::{Ask, Found},
    },
    config::Provider,
    refusal::{Answer, Refusal},
};

/// Where providers send browsers back to.
pub const CALLBACK_PATH: &str = "/_hearth/oauth2/callback";
/// Where people choose a provider: `?aim=…`.
pub const CHOOSE_PATH: &str = "/_hearth/oauth2/choose";
/// Where the journey to a provider begins: `?aim=…&provider=…`.
pub const BEGIN_PATH: &str = "/_hearth/oauth2/begin";
/// Where people allow what they were asked: a form with `ticket`.
pub const ALLOW_PATH: &str = "/_hearth/oauth2/allow";

/// What is to happen once somebody has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aim {
    /// Their browser goes to this URL, with a login token.
    Redirect(String),
    /// A stage of user-interactive authentication is completed.
    Stage {
        /// The session.
        session: String,
        /// Which stage: `m.login.oauth2` or `m.login.sso`.
        stage: String,
    },
    /// Their browser gets the credentials of a new session, as a client of 2015 wants it.
    Credentials {
        /// Who the client says they are.
        user: Option<String>,
    },
}

/// Who somebody is at another service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The service, by its id.
    pub provider: String,
    /// The account there, by what never changes.
    pub subject: String,
    /// What an account here may be called.
    pub localpart: Option<String>,
}

impl Identity {
    /// As what a stage found out.
    fn fact(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Who a stage found out that somebody is.
    pub(super) fn of(fact: &Map<String, Value>) -> Option<Self> {
        Identity::deserialize(fact).ok()
    }
}

/// Whether there is any service at which people prove who they are.
pub fn is_offered(home: &Home) -> bool {
    !home.config.oauth2.providers.is_empty()
}

/// Where a browser goes for `aim`: to the service if there is one, or to choose one of several.
///
/// # Errors
/// `M_UNRECOGNIZED` if there is none.
pub fn uri(home: &Home, aim: &Aim) -> Answer<String> {
    match &home.config.oauth2.providers[..] {
        [] => Err(none()),
        [provider] => journey::straight(home, provider, aim),
        _ => journey::choosing(home, aim),
    }
}

/// The provider called `id`.
///
/// # Errors
/// `M_NOT_FOUND`
pub fn provider<'a>(home: &'a Home, id: &str) -> Answer<&'a Provider> {
    let found = home.config.oauth2.provider(id);
    found.ok_or_else(|| Refusal::not_found("This server knows no identity provider of that name"))
}

/// `uri` of a stage's parameters.
pub(super) fn params(home: &Home, session: &Session, stage: &str) -> Option<Value> {
    let aim = Aim::Stage { session: session.ticket.clone(), stage: stage.to_owned() };
    let uri = uri(home, &aim).ok()?;
    Some(Map::from_iter([("uri".to_owned(), uri.into())]).into())
}

/// `m.login.oauth2`: tells where to go. It is completed when the browser comes back.
pub(super) async fn stage(ask: Ask<'_>, stage: &str) -> Result<Found, Failed> {
    let more = match params(ask.home, ask.session, stage) {
        Some(Value::Object(more)) => more,
        _ => return Err(none().into()),
    };
    Ok(Found::NotYet { kept: None, more })
}

fn none() -> Refusal {
    Refusal::unrecognized("This server knows no identity provider")
}

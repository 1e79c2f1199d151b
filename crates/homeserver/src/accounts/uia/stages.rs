//! The stages of user-interactive authentication: in one table.

use std::net::IpAddr;

use futures_util::{FutureExt, future::BoxFuture};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Failed, address, captcha, session::Session};
use crate::{
    Home,
    accounts::{
        attempts, login_tokens,
        names::{self, Identifier},
        oauth2, passwords, register,
    },
    refusal::{Answer, Refusal},
    threepids::Medium,
};

/// `m.login.dummy`: nothing to prove.
pub const DUMMY: &str = "m.login.dummy";
/// `m.login.password`: the password of the account.
pub const PASSWORD: &str = "m.login.password";
/// `m.login.registration_token`: a token that an administrator made.
pub const REGISTRATION_TOKEN: &str = "m.login.registration_token";
/// `m.login.terms`: agreement to the documents of `registration.terms`.
pub const TERMS: &str = "m.login.terms";

/// `m.login.token`: a login token of the account.
pub const TOKEN: &str = "m.login.token";
/// `m.login.email.identity`: a mail address that is theirs.
pub const EMAIL: &str = "m.login.email.identity";
/// `m.login.msisdn`: a phone number that is theirs.
pub const MSISDN: &str = "m.login.msisdn";
/// `m.login.recaptcha`: a captcha was solved.
pub const RECAPTCHA: &str = "m.login.recaptcha";
/// `m.login.oauth2`: an account at another service (`oauth2.providers`).
pub const OAUTH2: &str = "m.login.oauth2";
/// `m.login.sso`: the same for clients of today, which begin on its page.
pub const SSO: &str = "m.login.sso";
/// `m.oauth`: the action was approved on a page of this server.
pub const OAUTH: &str = "m.oauth";

/// What a stage is asked.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The server.
    pub home: &'a Home,
    /// Whose account it is about, if they have one already.
    pub user: Option<&'a UserId>,
    /// The session.
    pub session: &'a Session,
    /// The `auth` of a request, or the fields of a form.
    pub auth: &'a Map<String, Value>,
    /// What the stage kept when it was asked before and was not completed.
    pub kept: Option<&'a Value>,
    /// Where the request comes from.
    pub address: Option<IpAddr>,
}

/// What a stage answers.
pub enum Found {
    /// It is completed. What it found out is kept.
    Done(Value),
    /// It needs another request, or is completed elsewhere.
    NotYet {
        /// What it will be told when it is asked again; `None`: what it was told now.
        kept: Option<Value>,
        /// Further keys of the answer.
        more: Map<String, Value>,
    },
}

type Check = for<'a> fn(Ask<'a>) -> BoxFuture<'a, Result<Found, Failed>>;

/// One stage.
pub(super) struct Stage {
    /// Its name.
    pub(super) name: &'static str,
    /// What it does with the `auth` of a request.
    pub(super) request: Check,
    /// What it does with the form of its page; `None`: no form completes it.
    pub(super) form: Option<Check>,
}

/// All stages.
static STAGES: [Stage; 11] = [
    both(DUMMY, |_| async { Ok(Found::Done(Value::Null)) }.boxed()),
    both(PASSWORD, |ask| password(ask).boxed()),
    both(REGISTRATION_TOKEN, |ask| registration_token(ask).boxed()),
    both(TOKEN, |ask| login_tokens::stage(ask).boxed()),
    both(TERMS, |ask| async { Ok(Found::Done(versions(ask.home))) }.boxed()),
    Stage { name: EMAIL, request: |ask| address::check(ask, Medium::Email).boxed(), form: None },
    Stage { name: MSISDN, request: |ask| address::check(ask, Medium::Msisdn).boxed(), form: None },
    both(RECAPTCHA, |ask| captcha::check(ask).boxed()),
    // Nothing but the journey to the other service completes these.
    Stage { name: OAUTH2, request: |ask| oauth2::stage(ask, OAUTH2).boxed(), form: None },
    Stage { name: SSO, request: |_| elsewhere().boxed(), form: None },
    // Who has an access token does not approve by that alone: the page asks for the password.
    Stage { name: OAUTH, request: |_| elsewhere().boxed(), form: Some(|ask| password(ask).boxed()) },
];

const fn both(name: &'static str, check: Check) -> Stage {
    Stage { name, request: check, form: Some(check) }
}

/// The stage called `name`.
pub(super) fn named(name: &str) -> Option<&'static Stage> {
    STAGES.iter().find(|stage| stage.name == name)
}

/// What a client must know to show the stage `name`.
pub(super) fn params(home: &Home, name: &str, session: &Session) -> Option<Value> {
    match name {
        TERMS => Some(policies(home)),
        RECAPTCHA => Some(json!({ "public_key": home.config.captcha.site_key })),
        OAUTH2 => oauth2::params(home, session, OAUTH2),
        OAUTH => {
            let (base, session) = (home.config.public_url(), &session.ticket);
            let url = format!("{base}/_matrix/client/v3/auth/{OAUTH}/fallback/web?session={session}");
            Some(json!({ "url": url }))
        }
        _ => None,
    }
}

fn policies(home: &Home) -> Value {
    let mut policies = Map::new();
    for terms in &home.config.registration.terms {
        let policy = policies.entry(&*terms.id).or_insert_with(|| json!({ "version": terms.version }));
        policy[&terms.language] = json!({ "name": terms.name, "url": terms.url });
    }
    json!({ "policies": policies })
}

/// A stage that no request completes: asked for, it goes on elsewhere.
async fn elsewhere() -> Result<Found, Failed> {
    Ok(Found::NotYet { kept: None, more: Map::new() })
}

/// What whoever agrees to the terms agrees to: the version of each document, by its id.
fn versions(home: &Home) -> Value {
    let terms = home.config.registration.terms.iter();
    terms.map(|terms| (terms.id.clone(), Value::from(&*terms.version))).collect()
}

#[derive(Deserialize)]
struct PasswordAuth {
    identifier: Option<Identifier>,
    user: Option<String>,
    password: String,
}

async fn password(ask: Ask<'_>) -> Result<Found, Failed> {
    let (home, user) = (ask.home, ask.user);
    let auth: PasswordAuth = read(ask.auth)?;
    let user = user.ok_or_else(|| Refusal::broken("nobody is there whose password could be asked"))?;
    // Whoever asks is logged in, and may leave out who they are; they can not be somebody else.
    let named = match (&auth.identifier, &auth.user) {
        (None, None) => Some(user.to_owned()),
        (identifier, name) => names::find(home, identifier.as_ref(), name.as_deref()).await?,
    };
    attempts::may_guess(home, user)?;
    let account = store::accounts::get(&home.db, user.as_str()).await?;
    let hash = account.and_then(|account| account.password_hash).filter(|_| named.as_deref() == Some(user));
    if passwords::verify(home, &auth.password, hash).await? {
        Ok(Found::Done(Value::Null))
    } else if named.is_none() && auth.identifier.is_some_and(|identifier| identifier.is_address()) {
        Err(Refusal::forbidden("No account here has this address").into())
    } else {
        attempts::was_wrong(home, user);
        Err(Failed::Again("M_FORBIDDEN", "Wrong password"))
    }
}

#[derive(Deserialize)]
struct TokenAuth {
    token: String,
}

async fn registration_token(ask: Ask<'_>) -> Result<Found, Failed> {
    let auth: TokenAuth = read(ask.auth)?;
    if register::token_is_valid(ask.home, &auth.token).await? {
        Ok(Found::Done(auth.token.into()))
    } else {
        Err(Failed::Again("M_UNAUTHORIZED", "This registration token is not valid, or no longer"))
    }
}

fn read<T: for<'a> Deserialize<'a>>(auth: &Map<String, Value>) -> Answer<T> {
    T::deserialize(auth).map_err(|error| Refusal::bad_json(format!("auth: {error}")))
}

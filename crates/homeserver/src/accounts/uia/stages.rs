//! The stages of user-interactive authentication: one function each, in one table.

use futures_util::{FutureExt, future::BoxFuture};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Failed;
use crate::{
    Home,
    accounts::{
        attempts,
        names::{self, Identifier},
        passwords, register,
    },
    refusal::{Answer, Refusal},
};

/// `m.login.dummy`: nothing to prove.
pub const DUMMY: &str = "m.login.dummy";
/// `m.login.password`: the password of the account.
pub const PASSWORD: &str = "m.login.password";
/// `m.login.registration_token`: a token that an administrator made.
pub const REGISTRATION_TOKEN: &str = "m.login.registration_token";
/// `m.login.terms`: agreement to the documents of `registration.terms`.
pub const TERMS: &str = "m.login.terms";

/// What a stage does with the `auth` of a request: answers what it found out, which is kept.
pub(super) type Stage =
    for<'a> fn(&'a Home, Option<&'a UserId>, &'a Map<String, Value>) -> BoxFuture<'a, Result<Value, Failed>>;

/// All stages.
const STAGES: [(&str, Stage); 4] = [
    (DUMMY, |_, _, _| async { Ok(Value::Null) }.boxed()),
    (PASSWORD, |home, user, auth| password(home, user, auth).boxed()),
    (REGISTRATION_TOKEN, |home, _, auth| registration_token(home, auth).boxed()),
    (TERMS, |home, _, _| async { Ok(versions(home)) }.boxed()),
];

/// The stage called `name`.
pub(super) fn named(name: &str) -> Option<Stage> {
    STAGES.iter().find(|(stage, _)| *stage == name).map(|(_, check)| *check)
}

/// What a client must know to show the stage `name`.
pub(super) fn params(home: &Home, name: &str) -> Option<Value> {
    if name != TERMS {
        return None;
    }
    let mut policies = Map::new();
    for terms in &home.config.registration.terms {
        let policy = policies.entry(&*terms.id).or_insert_with(|| json!({ "version": terms.version }));
        policy[&terms.language] = json!({ "name": terms.name, "url": terms.url });
    }
    Some(json!({ "policies": policies }))
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

async fn password(home: &Home, user: Option<&UserId>, auth: &Map<String, Value>) -> Result<Value, Failed> {
    let auth: PasswordAuth = read(auth)?;
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
        Ok(Value::Null)
    } else {
        attempts::was_wrong(home, user);
        Err(Failed::Again("M_FORBIDDEN", "Wrong password"))
    }
}

#[derive(Deserialize)]
struct TokenAuth {
    token: String,
}

async fn registration_token(home: &Home, auth: &Map<String, Value>) -> Result<Value, Failed> {
    let auth: TokenAuth = read(auth)?;
    if register::token_is_valid(home, &auth.token).await? {
        Ok(auth.token.into())
    } else {
        Err(Failed::Again("M_UNAUTHORIZED", "This registration token is not valid, or no longer"))
    }
}

fn read<T: for<'a> Deserialize<'a>>(auth: &Map<String, Value>) -> Answer<T> {
    T::deserialize(auth).map_err(|error| Refusal::bad_json(format!("auth: {error}")))
}

//! Registration in stages, as the first version of the API had it: before user-interactive
//! authentication, and over it.
//!
//! The client sends one stage after the other, and the account's name and password with the last one,
//! `m.login.password`. What the operator requires comes before that, in a session of the same
//! operation as today's registration, so that a page can complete its stages as well.

mod email;
pub mod login;

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{
    opening,
    register::{self, Registered, Wish},
    uia::{
        self,
        session::Session,
        stages::{DUMMY, EMAIL, PASSWORD},
    },
};
use crate::{
    Home,
    refusal::{Answer, Refusal},
    threepids::Purpose,
};

/// What a stage led to.
pub enum Staged {
    /// An account.
    Made(Registered),
    /// More is to be done.
    More {
        /// The session.
        session: String,
        /// The stage that comes next; `None`: the same, once more.
        next: Option<&'static str>,
        /// Further keys of the answer.
        more: Map<String, Value>,
    },
}

/// The ways to get an account, each a list of stages in order.
///
/// # Errors
/// `M_FORBIDDEN` if registration is closed.
pub fn flows(home: &Home) -> Answer<Vec<Vec<&'static str>>> {
    register::must_be_open(home)?;
    let with_password = |mut stages: Vec<_>| {
        stages.retain(|stage| *stage != DUMMY);
        stages.push(PASSWORD);
        stages
    };
    let flows = register::flows(home).into_iter().map(with_password).collect();
    Ok(email::with_old_stages(home, flows))
}

/// Does the stage of `body`.
///
/// # Errors
/// Those of [`register::user`]; `M_MISSING_PARAM` without a `type`, a `user` or a `password`,
/// `M_UNKNOWN` for a type that is not asked for, `M_FORBIDDEN` if a stage failed or was left out.
pub async fn register(home: &Home, body: &Map<String, Value>, address: Option<IpAddr>) -> Answer<Staged> {
    let stage = text(body, "type")?.ok_or_else(|| missing("type"))?;
    let flows = flows(home)?;
    match stage {
        PASSWORD => {
            let auth = match text(body, "session")? {
                session if flows.iter().any(|flow| flow.len() == 1) => {
                    json!({ "type": DUMMY, "session": session })
                }
                Some(session) => json!({ "session": session }),
                None => return Err(left_out()),
            };
            let wish = Wish {
                username: text(body, "user")?.map(str::to_owned),
                password: Some(text(body, "password")?.ok_or_else(|| missing("password"))?.to_owned()),
                session: opening::Wish { refresh_token: Some(true), lasting: true, ..Default::default() },
                ..Wish::default()
            };
            let made = register::user(home, &wish, auth.as_object(), address).await;
            Ok(Staged::Made(made.map_err(without_flows)?))
        }
        "m.login.application_service" => {
            let wish = Wish { login_type: Some(stage.to_owned()), ..Wish::default() };
            Ok(Staged::Made(register::user(home, &wish, None, address).await?))
        }
        email::CODE | email::URL if flows.iter().flatten().any(|known| *known == stage) => {
            by_mail(home, stage, body, address).await.map_err(without_flows)
        }
        stage if flows.iter().flatten().any(|known| *known == stage) => {
            let operation = register::operation(home, address);
            let step = uia::step(home, &operation, body).await.map_err(without_flows)?;
            let next = step.next.filter(|stage| *stage != DUMMY).unwrap_or(PASSWORD);
            let next = step.completed.then_some(next);
            Ok(Staged::More { session: step.session, next, more: step.more })
        }
        _ => Err(Refusal::unknown("Bad registration type: ask GET /register which there are")),
    }
}

/// Does a stage of 2015 by which somebody shows a mail address.
async fn by_mail(
    home: &Home,
    stage: &str,
    body: &Map<String, Value>,
    address: Option<IpAddr>,
) -> Answer<Staged> {
    let operation = register::operation(home, address);
    match email::stage(home, &operation, Purpose::Register, body).await? {
        email::Stage::Sent(session) => {
            let more = Map::from_iter([("type".to_owned(), stage.into())]);
            Ok(Staged::More { session: session.ticket, next: None, more })
        }
        email::Stage::Shown { session, validated, .. } => {
            uia::complete_outside(home, session.clone(), EMAIL, validated.to_fact()).await?;
            advanced(home, &operation, &session).await
        }
    }
}

/// Where a session stands whose stage was completed.
async fn advanced(home: &Home, operation: &uia::Operation<'_>, session: &Session) -> Answer<Staged> {
    let auth = Map::from_iter([("session".to_owned(), session.ticket.as_str().into())]);
    let step = uia::step(home, operation, &auth).await?;
    let next = step.next.filter(|stage| *stage != DUMMY).unwrap_or(PASSWORD);
    Ok(Staged::More { session: step.session, next: Some(next), more: step.more })
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Answer<Option<&'a str>> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad_json(format!("{key} must be text"))),
    }
}

fn missing(key: &str) -> Refusal {
    Refusal::missing_param(format!("{key} is missing"))
}

fn left_out() -> Refusal {
    Refusal::forbidden("There are stages before this one: ask GET /register which")
}

/// A failed stage as the first version of the API tells it: an error, and nothing else.
fn without_flows(refusal: Refusal) -> Refusal {
    let is_challenge = refusal.extra.as_ref().is_some_and(|extra| extra.contains_key("flows"));
    match refusal.errcode {
        _ if !is_challenge => refusal,
        "" | "M_UNRECOGNIZED" => left_out(),
        _ => Refusal { status: 403, extra: None, ..refusal },
    }
}

//! `m.login.email.identity` and `m.login.msisdn`: an address that is theirs.
//!
//! Clients have a message sent to the address themselves and then name the session of that. The page of
//! the stage does the same in two steps: it asks for the address, and then for what was sent there.

use std::{borrow::Cow, net::IpAddr};

use serde_json::{Map, Value};

use super::{
    Failed,
    stages::{Ask, Found},
};
use crate::{
    Home,
    accounts::{own, register},
    limits::{self, Class},
    refusal::{Answer, Refusal},
    threepids::{Medium, Purpose, credentials::Credentials, request, sessions},
};

/// Where a fact says at which identity server an address was shown.
const ELSEWHERE: &str = "elsewhere";

/// Characters of the secret that a page makes up for a session.
const SECRET_CHARACTERS: usize = 32;

const NOT_YET: &str =
    "Nobody has confirmed that address yet: follow the link, or type the code, that was sent to it";

/// A message that a page had sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Where to.
    pub address: String,
    /// The session in which that is confirmed.
    pub sid: String,
    /// The secret of the page that began it.
    pub client_secret: String,
}

/// What became of what was entered on the page.
pub(super) enum Entered {
    /// The address was confirmed: the fact to keep.
    Proved(Value),
    /// The page goes on with this, and says what was wrong.
    Page(Option<Sent>, Option<Cow<'static, str>>),
}

/// For what a session of this operation needs an address, if it does.
pub(super) fn purpose(operation: &str) -> Option<Purpose> {
    match operation {
        register::OPERATION => Some(Purpose::Register),
        own::PASSWORD_OPERATION => Some(Purpose::Password),
        _ => None,
    }
}

/// Looks whether somebody has shown that an address is theirs, for what the session is for. What is found
/// out is read by [`Validated::of_fact`](crate::threepids::Validated::of_fact).
pub(super) async fn check(ask: Ask<'_>, medium: Medium) -> Result<Found, Failed> {
    let Some(purpose) = purpose(&ask.session.operation) else {
        return Err(Failed::Again("M_UNRECOGNIZED", "No address proves what is needed for that"));
    };
    let credentials = Credentials::inside(ask.auth)?;
    if let Some(fact) = proved(ask.home, purpose, medium, &credentials).await? {
        return Ok(Found::Done(fact));
    }
    // Clients ask every other second until somebody has followed the link.
    if purpose == Purpose::Register && sessions::is_awaited(ask.home, &credentials).await? {
        limits::was_a_look(ask.home, Class::Register, ask.address)?;
    }
    Err(Failed::Again("M_UNAUTHORIZED", NOT_YET))
}

/// The session at the identity server whose word `fact` is, if it is one's.
pub(in crate::accounts) fn elsewhere(fact: &Map<String, Value>) -> Option<Credentials> {
    Credentials::read(fact.get(ELSEWHERE)?.as_object()?).ok()
}

/// What was confirmed in the session that `credentials` name, as a fact.
async fn proved(
    home: &Home,
    purpose: Purpose,
    medium: Medium,
    credentials: &Credentials,
) -> Answer<Option<Value>> {
    let validated = sessions::validated(home, purpose, credentials).await?;
    Ok(validated.filter(|validated| validated.medium == medium).map(|validated| {
        let mut fact = validated.to_fact();
        // Of an identity server something more may be wanted than its word.
        if validated.sid.is_none() {
            fact[ELSEWHERE] = credentials.to_json();
        }
        fact
    }))
}

/// Takes what was entered on the page: `address`, or the `sid`, the `client_secret` and the `address` of a
/// message that was sent, with its `token` if people type it. Nothing of it: the page begins anew.
///
/// # Errors
/// If the message can not be sent or the database does not answer.
pub(super) async fn enter(
    home: &Home,
    purpose: Purpose,
    medium: Medium,
    fields: &Map<String, Value>,
    asker: Option<IpAddr>,
) -> Answer<Entered> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let sent = Sent { address: text("address"), sid: text("sid"), client_secret: text("client_secret") };
    let (wrong, sent) = match (&*sent.sid, &*sent.address) {
        ("", "") => return Ok(Entered::Page(None, None)),
        ("", address) => match send(home, purpose, medium, address, asker).await {
            Ok(sent) => return Ok(Entered::Page(Some(sent), None)),
            Err(refusal) => (refusal, None),
        },
        _ => match confirmed(home, purpose, medium, &sent, &text("token")).await {
            Ok(Some(fact)) => return Ok(Entered::Proved(fact)),
            Ok(None) => return Ok(Entered::Page(Some(sent), Some(NOT_YET.into()))),
            Err(refusal) => (refusal, Some(sent)),
        },
    };
    // What people can do something about is said where they can.
    if wrong.status < 500 { Ok(Entered::Page(sent, Some(wrong.message))) } else { Err(wrong) }
}

async fn send(
    home: &Home,
    purpose: Purpose,
    medium: Medium,
    address: &str,
    asker: Option<IpAddr>,
) -> Answer<Sent> {
    let client_secret = home.dice.letters(SECRET_CHARACTERS);
    let mut body = Map::new();
    body.insert("client_secret".to_owned(), client_secret.as_str().into());
    body.insert("send_attempt".to_owned(), 1.into());
    match medium {
        Medium::Email => body.insert("email".to_owned(), address.into()),
        Medium::Msisdn if !address.starts_with('+') => {
            return Err(Refusal::invalid_param("Write the number with + and the code of its country first"));
        }
        Medium::Msisdn => {
            // Which one makes no difference to a number that says its own.
            body.insert("country".to_owned(), "GB".into());
            body.insert("phone_number".to_owned(), address.into())
        }
    };
    let wish = request::Wish::read(home, medium, &body)?;
    let requested = request::request_token(home, purpose, &wish, asker).await?;
    Ok(Sent { address: address.to_owned(), sid: requested.sid, client_secret })
}

/// Whether the address of `sent` was confirmed, if need be by `token`, which was typed.
async fn confirmed(
    home: &Home,
    purpose: Purpose,
    medium: Medium,
    sent: &Sent,
    token: &str,
) -> Answer<Option<Value>> {
    if medium == Medium::Msisdn {
        sessions::validate(home, &sent.sid, &sent.client_secret, token).await?;
    }
    let credentials = Credentials {
        sid: sent.sid.clone(),
        client_secret: sent.client_secret.clone(),
        id_server: None,
        id_access_token: None,
    };
    proved(home, purpose, medium, &credentials).await
}

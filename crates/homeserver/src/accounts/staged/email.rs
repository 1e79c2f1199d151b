//! `m.login.email.code` and `m.login.email.url` of 2015: an address that is theirs, shown by a code or by
//! a link that this server sends. They complete the stage that is `m.login.email.identity` today.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{Staged, advanced, text};
use crate::{
    Home,
    accounts::{
        register, ticket,
        uia::{self, session::Session, stages::EMAIL},
    },
    refusal::{Answer, Refusal},
    threepids::{
        Medium, Purpose,
        credentials::Credentials,
        request::{self, Wish},
        sessions,
    },
};

/// A code is sent.
pub(super) const CODE: &str = "m.login.email.code";
/// A link is sent.
pub(super) const URL: &str = "m.login.email.url";

/// The ways of `flows`, with those of 2015 to show a mail address.
pub(super) fn with_old_stages(home: &Home, flows: Vec<Vec<&'static str>>) -> Vec<Vec<&'static str>> {
    if !Medium::Email.is_served(home) {
        return flows;
    }
    let old = flows.iter().filter(|flow| flow.contains(&EMAIL)).flat_map(|flow| {
        [CODE, URL].map(|old| flow.iter().map(|stage| if *stage == EMAIL { old } else { *stage }).collect())
    });
    let old: Vec<_> = old.collect();
    [flows, old].concat()
}

/// Sends the code or the link for an `email`, or looks whether it was shown.
///
/// # Errors
/// Those of [`request::request_token`] and [`sessions::validate_code`]; `M_UNKNOWN` for a session that is
/// none, `M_MISSING_PARAM`, `M_LOGIN_EMAIL_URL_NOT_YET` while nobody followed the link.
pub(super) async fn stage(
    home: &Home,
    stage: &str,
    body: &Map<String, Value>,
    address: Option<IpAddr>,
) -> Answer<Staged> {
    let operation = register::operation(home, address);
    let session = uia::session(home, &operation, text(body, "session")?)?;
    let client_secret = client_secret(home, &session);
    if let Some(email) = text(body, "email")? {
        let asked = json!({ "email": email, "client_secret": client_secret, "send_attempt": 1 });
        let mut wish = Wish::read(home, Medium::Email, asked.as_object().unwrap_or(body))?;
        wish.by_code = stage == CODE;
        let requested = request::request_token(home, Purpose::Register, &wish, address).await?;
        uia::keep_outside(home, session.clone(), EMAIL, requested.sid.into()).await?;
        let more = Map::from_iter([("type".to_owned(), stage.into())]);
        return Ok(Staged::More { session: session.ticket, next: None, more });
    }
    let sid = uia::kept_outside(home, session.clone(), EMAIL).await?;
    let missing = || Refusal::missing_param("email is missing: say where the message is to be sent");
    let sid = sid.as_ref().and_then(Value::as_str).ok_or_else(missing)?.to_owned();
    if stage == CODE {
        let code = text(body, "code")?.ok_or_else(|| Refusal::missing_param("code is missing"))?;
        sessions::validate_code(home, &sid, &client_secret, code).await?;
    }
    let credentials = Credentials { sid, client_secret, id_server: None, id_access_token: None };
    let shown = sessions::validated(home, Purpose::Register, &credentials).await?;
    let not_yet = "Nobody has followed the link yet that was sent to that address";
    let shown = shown.ok_or_else(|| Refusal::new(403, "M_LOGIN_EMAIL_URL_NOT_YET", not_yet))?;
    uia::complete_outside(home, session.clone(), EMAIL, shown.to_fact()).await?;
    advanced(home, &operation, &session).await
}

/// The secret of the address's session: known to whoever knows this session.
fn client_secret(home: &Home, session: &Session) -> String {
    let secret = ticket::fingerprint(home, &[b"email of 2015", session.ticket.as_bytes()]);
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! `m.login.email.code` and `m.login.email.url` of 2015: an address that is theirs, shown by a code or by
//! a link that this server sends. They complete the stage that is `m.login.email.identity` today.

use serde_json::{Map, Value, json};

use super::text;
use crate::{
    Home,
    accounts::{
        ticket,
        uia::{self, Operation, session::Session, stages::EMAIL},
    },
    limits::{self, Class},
    refusal::{Answer, Refusal},
    threepids::{
        Medium, Purpose, Validated,
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

/// What became of the stage.
pub(super) enum Stage {
    /// A message is on its way.
    Sent(Session),
    /// The address is theirs.
    Shown {
        session: Session,
        validated: Validated,
        /// Whom they said that they are.
        user: Option<String>,
    },
}

/// Sends the code or the link for an `email`, or looks whether it was shown.
///
/// # Errors
/// Those of [`request::request_token`] and [`sessions::validate_code`]; `M_UNKNOWN` for a session that is
/// none, `M_MISSING_PARAM`, `M_LOGIN_EMAIL_URL_NOT_YET` while nobody followed the link, `M_SESSION_EXPIRED`
/// once it has served its purpose.
pub(super) async fn stage(
    home: &Home,
    operation: &Operation<'_>,
    purpose: Purpose,
    body: &Map<String, Value>,
) -> Answer<Stage> {
    let session = uia::session(home, operation, text(body, "session")?)?;
    let by_code = text(body, "type")? == Some(CODE);
    let client_secret = client_secret(home, &session);
    // Who repeats the address beside the code wants no other message.
    if let (Some(email), None) = (text(body, "email")?, text(body, "code")?) {
        let asked = json!({ "email": email, "client_secret": client_secret, "send_attempt": 1 });
        let mut wish = Wish::read(home, Medium::Email, asked.as_object().unwrap_or(body))?;
        wish.by_code = by_code;
        let requested = request::request_token(home, purpose, &wish, operation.address).await?;
        let kept = json!({ "sid": requested.sid, "user": text(body, "user")? });
        uia::keep_outside(home, session.clone(), EMAIL, kept).await?;
        return Ok(Stage::Sent(session));
    }
    let kept = uia::kept_outside(home, session.clone(), EMAIL).await?.unwrap_or_default();
    let missing = || Refusal::missing_param("email is missing: say where the message is to be sent");
    let sid = kept["sid"].as_str().ok_or_else(missing)?.to_owned();
    if by_code {
        let code = text(body, "code")?.ok_or_else(|| Refusal::missing_param("code is missing"))?;
        sessions::validate_code(home, &sid, &client_secret, code).await?;
    }
    let credentials = Credentials { sid, client_secret, id_server: None, id_access_token: None };
    let Some(validated) = sessions::validated(home, purpose, &credentials).await? else {
        if sessions::about(home, &credentials.sid, &credentials.client_secret).await?.is_none() {
            return Err(Refusal::session_expired("This link has been used: ask for another one"));
        }
        // Clients ask every other second until somebody has followed the link.
        let class = if purpose == Purpose::Register { Class::Register } else { Class::Login };
        limits::was_a_look(home, class, operation.address)?;
        let not_yet = "Nobody has followed the link yet that was sent to that address";
        return Err(Refusal::new(403, "M_LOGIN_EMAIL_URL_NOT_YET", not_yet));
    };
    Ok(Stage::Shown { session, validated, user: kept["user"].as_str().map(str::to_owned) })
}

/// The secret of the address's session: known to whoever knows this session.
fn client_secret(home: &Home, session: &Session) -> String {
    let secret = ticket::fingerprint(home, &[b"email of 2015", session.ticket.as_bytes()]);
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

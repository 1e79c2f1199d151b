//! Asking for a token: `/{register,account/password,account/3pid}/{email,msisdn}/requestToken`
//!
//! A message is sent once for each `send_attempt`. Who asks again for the same one gets the same answer,
//! and no other message, unless the message could not be sent.

use std::net::IpAddr;

use reqwest::Url;
use serde_json::{Map, Value};
use store::{
    Batch,
    threepids::{self as stored, SessionRow},
};

use super::{
    Medium, Purpose, address,
    credentials::{self, text},
    identity, sessions,
};
use crate::{
    Home,
    accounts::register,
    limits,
    mail::{self, Kind, Letter},
    refusal::{Answer, Refusal},
    sms, threepids,
};

/// Sessions of one address. The oldest go first.
const SESSIONS_MAX: i64 = 20;

/// Characters of a session id.
const SID_CHARACTERS: usize = 24;

/// Bytes of a link to go on with.
const NEXT_LINK_BYTES_MAX: usize = 2_048;

/// After how long a message that was begun and not ended is taken for lost, in milliseconds.
const LOST_AFTER_MS: i64 = 60 * 1000;

/// The page on which people show the token of a mail.
pub const CONFIRM_PATH: &str = "/_hearth/client/email/confirm";

/// Where clients show the token that people have typed.
pub const SUBMIT_PATH: &str = "/_hearth/client/msisdn/submit_token";

/// What a client asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub(super) medium: Medium,
    pub(super) address: String,
    pub(super) client_secret: String,
    pub(super) send_attempt: i64,
    pub(super) next_link: Option<String>,
    /// Where a phone number was to be dialled from.
    pub(super) country: Option<String>,
    pub(super) id_server: Option<String>,
    pub(super) id_access_token: Option<String>,
    /// Whether people are to type a code instead of following a link, as in 2015.
    pub by_code: bool,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Requested {
    /// The session.
    pub sid: String,
    /// Where the client is to submit the token that the user types.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_url: Option<String>,
}

impl Wish {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// `M_MISSING_PARAM`, `M_BAD_JSON`, `M_INVALID_PARAM`
    pub fn read(home: &Home, medium: Medium, body: &Map<String, Value>) -> Answer<Self> {
        let required = |name: &'static str| {
            let missing = || Refusal::missing_param(format!("{name} is missing"));
            text(body, &[name])?.ok_or_else(missing)
        };
        let client_secret = credentials::client_secret(body)?.to_owned();
        let (address, country) = match medium {
            Medium::Email => (address::email(required("email")?)?, None),
            Medium::Msisdn => {
                let country = required("country")?;
                (address::phone(country, required("phone_number")?)?, Some(country.to_owned()))
            }
        };
        let send_attempt = body.get("send_attempt").or_else(|| body.get("sendAttempt"));
        let send_attempt = send_attempt.ok_or_else(|| Refusal::missing_param("send_attempt is missing"))?;
        let send_attempt = send_attempt.as_i64().filter(|attempt| *attempt >= 0);
        let next_link = text(body, &["next_link", "nextLink"])?.filter(|link| !link.is_empty());
        Ok(Wish {
            medium,
            address,
            client_secret,
            send_attempt: send_attempt.ok_or_else(|| Refusal::bad_json("send_attempt must be a number"))?,
            next_link: next_link.map(|link| check_link(home, link)).transpose()?,
            country,
            id_server: credentials::id_server(body)?.map(str::to_owned),
            id_access_token: credentials::id_access_token(body)?.map(str::to_owned),
            by_code: false,
        })
    }
}

/// A page to which people can go on, if it is one to which they may be sent.
fn check_link(home: &Home, link: &str) -> Answer<String> {
    let wrong = || Refusal::invalid_param("next_link must be the address of a web page, and no other");
    if link.len() > NEXT_LINK_BYTES_MAX {
        return Err(wrong());
    }
    let url = Url::parse(link).map_err(|_| wrong())?;
    let host = url.host_str().ok_or_else(wrong)?;
    let plain =
        matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none();
    let hosts = &home.config.email.next_link_hosts;
    let allowed = hosts.is_empty() || hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host));
    if plain && allowed { Ok(url.into()) } else { Err(wrong()) }
}

/// Sends a token to the address of `wish`. `asker` is the client's address.
///
/// # Errors
/// `M_FORBIDDEN` if nobody may register, `M_THREEPID_IN_USE` or `M_THREEPID_NOT_FOUND` unless accounts are hidden, `M_THREEPID_DENIED` for a
/// domain that the operator does not allow, `M_THREEPID_MEDIUM_NOT_SUPPORTED`, `M_SERVER_NOT_TRUSTED`,
/// `M_LIMIT_EXCEEDED`, those of [`mail::send`] and [`sms::send`].
pub async fn request_token(
    home: &Home,
    purpose: Purpose,
    wish: &Wish,
    asker: Option<IpAddr>,
) -> Answer<Requested> {
    if purpose == Purpose::Register {
        register::must_be_open(home)?;
    }
    must_be_allowed(home, wish)?;
    let served = wish.medium.is_served(home);
    if !served && wish.id_server.is_none() {
        return Err(Refusal::threepid_medium_not_supported(match wish.medium {
            Medium::Email => "This server does not send mail",
            Medium::Msisdn => "This server does not send text messages",
        }));
    }
    let owner = threepids::user(home, wish.medium, &wish.address).await?;
    let hides = served && wish.medium == Medium::Email && home.config.email.hide_accounts;
    let kind = match (purpose, &owner) {
        (Purpose::Register, None) => Kind::Register,
        (Purpose::Add, None) => Kind::Add,
        (Purpose::Password, Some(_)) => Kind::Password,
        (Purpose::Login, Some(_)) => Kind::Login,
        (Purpose::Register | Purpose::Add, Some(_)) if hides => Kind::InUse,
        (Purpose::Password | Purpose::Login, None) if hides => Kind::Unknown,
        (Purpose::Register | Purpose::Add, Some(_)) => {
            return Err(Refusal::threepid_in_use("This address belongs to an account already"));
        }
        (Purpose::Password | Purpose::Login, None) => {
            return Err(Refusal::threepid_not_found("No account here has this address"));
        }
    };
    match &wish.id_server {
        Some(id_server) if !served => {
            limits::send_message(home, &wish.address, asker)?;
            identity::request_token(home, id_server, wish).await
        }
        _ => {
            let user = owner.as_ref().map(|owner| owner.as_str()).unwrap_or_default();
            let sid = send_once(home, purpose, wish, kind, user, asker).await?;
            let typed = wish.medium == Medium::Msisdn;
            let submit_url = typed.then(|| format!("{}{SUBMIT_PATH}", home.config.public_url()));
            Ok(Requested { sid, submit_url })
        }
    }
}

fn must_be_allowed(home: &Home, wish: &Wish) -> Answer<()> {
    let domains = &home.config.email.allowed_domains;
    let domain = wish.address.rsplit_once('@').map(|(_, domain)| domain);
    let allowed = |domain: &str| domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain));
    if wish.medium == Medium::Msisdn || domains.is_empty() || domain.is_some_and(allowed) {
        return Ok(());
    }
    Err(Refusal::threepid_denied(format!("This server takes addresses of {} only", domains.join(", "))))
}

/// Sends the message that `wish` asks for, if it was not sent before, and answers the id of the session.
async fn send_once(
    home: &Home,
    purpose: Purpose,
    wish: &Wish,
    kind: Kind,
    user: &str,
    asker: Option<IpAddr>,
) -> Answer<String> {
    let now_ms = home.clock.now_ms();
    let secret_hash = sessions::secret_hash(&wish.client_secret);
    let (medium, address) = (wish.medium.as_str(), &*wish.address);
    let there = stored::session_of(&home.db, medium, address, purpose.as_str(), &secret_hash).await?;
    let fresh = |session: &SessionRow| {
        let since = session.validated_ts.unwrap_or(session.created_ts);
        let young = now_ms.saturating_sub(since) <= sessions::SESSION_LIFE_MS / 2;
        young && session.guesses < sessions::GUESSES_MAX
    };
    let mut batch = Batch::new();
    let sid = match there.as_ref().filter(|session| fresh(session)) {
        Some(session) if is_done(session, wish) => return Ok(session.sid.clone()),
        Some(session) if session.sent_ts.is_none() && now_ms - session.claimed_ts < LOST_AFTER_MS => {
            return Err(Refusal::limit_exceeded(std::time::Duration::from_secs(1)));
        }
        Some(session) => {
            stored::claim(&mut batch, session, wish.send_attempt, wish.next_link.clone(), now_ms);
            session.sid.clone()
        }
        None => {
            let sid = home.dice.letters(SID_CHARACTERS);
            if let Some(old) = &there {
                stored::forget(&mut batch, &old.sid);
            }
            stored::begin(&mut batch, new_session(&sid, purpose, wish, now_ms), SESSIONS_MAX - 1);
            sid
        }
    };
    limits::send_message(home, address, asker)?;
    home.db.commit(batch).await.map_err(|error| match error {
        // The same client asks twice at once.
        store::Error::Refused { .. } => Refusal::limit_exceeded(std::time::Duration::from_secs(1)),
        error => error.into(),
    })?;
    let message = message(home, wish, kind, user, &sid);
    let (home, wish, session) = (home.clone(), wish.clone(), sid.clone());
    // What was begun is ended, even if the client does not wait for it.
    let sending = tokio::spawn(async move { deliver(&home, &wish, &session, message).await });
    sending.await.map_err(|error| Refusal::broken(format!("a message could not be sent: {error}")))??;
    Ok(sid)
}

/// Whether the client has what it asks for.
fn is_done(session: &SessionRow, wish: &Wish) -> bool {
    session.validated_ts.is_some() || (session.sent_ts.is_some() && wish.send_attempt <= session.send_attempt)
}

fn new_session(sid: &str, purpose: Purpose, wish: &Wish, now_ms: i64) -> SessionRow {
    SessionRow {
        sid: sid.to_owned(),
        purpose: purpose.as_str().to_owned(),
        medium: wish.medium.as_str().to_owned(),
        address: wish.address.clone(),
        secret_hash: sessions::secret_hash(&wish.client_secret).to_vec(),
        send_attempt: wish.send_attempt,
        claimed_ts: now_ms,
        sent_ts: None,
        guesses: 0,
        next_link: wish.next_link.clone(),
        validated_ts: None,
        created_ts: now_ms,
    }
}

/// What is sent to an address.
enum Outgoing {
    Mail(Letter),
    Text(String),
}

fn message(home: &Home, wish: &Wish, kind: Kind, user: &str, sid: &str) -> Outgoing {
    let token = sessions::token(home, wish.medium, sid, &wish.address);
    let server = home.server_name();
    if wish.medium == Medium::Msisdn {
        return Outgoing::Text(format!("{token} is your code for {server}. Tell it to nobody."));
    }
    let mut values =
        vec![("server", server.to_string()), ("address", wish.address.clone()), ("user", user.to_owned())];
    let with_code = match kind {
        Kind::Register => Some(Kind::Code),
        Kind::Login => Some(Kind::LoginCode),
        _ => None,
    };
    if let Some(kind) = with_code.filter(|_| wish.by_code) {
        values.push(("code", sessions::code(home, sid, &wish.address)));
        return Outgoing::Mail(Letter { kind, values });
    }
    if !matches!(kind, Kind::InUse | Kind::Unknown) {
        // Nothing in it needs to be escaped: all three have letters, digits and . = _ - only.
        let (base, secret) = (home.config.public_url(), &wish.client_secret);
        let link = format!("{base}{CONFIRM_PATH}?token={token}&client_secret={secret}&sid={sid}");
        values.push(("link", link));
    }
    Outgoing::Mail(Letter { kind, values })
}

async fn deliver(home: &Home, wish: &Wish, sid: &str, message: Outgoing) -> Answer<()> {
    let sent = match &message {
        Outgoing::Mail(letter) => mail::send(home, &wish.address, letter).await,
        Outgoing::Text(text) => sms::send(home, &wish.address, text).await,
    };
    let mut batch = Batch::new();
    stored::sent(&mut batch, sid, wish.send_attempt, sent.is_ok().then(|| home.clock.now_ms()));
    home.db.commit(batch).await?;
    sent
}

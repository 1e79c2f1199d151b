//! Sessions in which somebody shows that an address is theirs, by a token that was sent to it.
//!
//! The token is a MAC of the session, so it is nowhere to be found: not in the database, and not with an
//! operator who looks. A phone's token has few digits; so it may be guessed a few times only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use store::{Batch, threepids as stored};
use subtle::ConstantTimeEq;

use super::{Medium, Purpose, credentials::Credentials, identity};
use crate::{
    Home,
    refusal::{Answer, Refusal},
};

/// How long a token is good after it was sent, in milliseconds.
pub const TOKEN_LIFE_MS: i64 = 60 * 60 * 1000;

/// How long a session is kept at all, and can be used once it is validated, in milliseconds.
pub const SESSION_LIFE_MS: i64 = 24 * 60 * 60 * 1000;

/// Tokens that may be tried in one session.
pub const GUESSES_MAX: i64 = 10;

/// Bytes of a token that is looked at.
const TOKEN_BYTES_MAX: usize = 64;

/// Digits of a token that people type from their phone.
const CODE_DIGITS: usize = 6;

/// Digits of a code in a mail: more, for it may be all that a login takes.
const MAIL_CODE_DIGITS: usize = 10;

/// An address that is somebody's, as a session has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validated {
    /// What kind of address.
    pub medium: Medium,
    /// The address in canonical form.
    pub address: String,
    /// When it was shown, milliseconds since 1970.
    pub validated_ts: i64,
    /// Our session, which is to be used up; none if it is an identity server's.
    pub sid: Option<String>,
}

impl Validated {
    /// As a stage of user-interactive authentication remembers it.
    pub fn to_fact(&self) -> Value {
        json!({
            "medium": self.medium.as_str(),
            "address": self.address,
            "validated_at": self.validated_ts,
            "sid": self.sid,
        })
    }

    /// What [`to_fact`](Self::to_fact) wrote.
    pub fn of_fact(fact: &serde_json::Map<String, Value>) -> Option<Self> {
        Some(Validated {
            medium: Medium::named(fact.get("medium")?.as_str()?)?,
            address: fact.get("address")?.as_str()?.to_owned(),
            validated_ts: fact.get("validated_at")?.as_i64()?,
            sid: fact.get("sid").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// Adds to `batch` that the session has served its purpose. Refuses the batch if it has done so
    /// before.
    pub fn use_up(&self, batch: &mut Batch) {
        if let Some(sid) = &self.sid {
            stored::use_up(batch, sid);
        }
    }
}

/// Where to go on once an address is validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Back to where the message was asked for.
    Back,
    /// To a page that the operator trusts.
    Page(String),
    /// To a page that nobody here knows: people are to be asked.
    Stranger(String),
}

/// The token of a session.
pub(super) fn token(home: &Home, medium: Medium, sid: &str, address: &str) -> String {
    let mac = mac(home, medium.as_str(), sid, address);
    match medium {
        Medium::Email => URL_SAFE_NO_PAD.encode(mac.as_bytes()),
        Medium::Msisdn => digits(&mac, CODE_DIGITS),
    }
}

/// The code that stands for the token of a mail where people are to type it.
pub(super) fn code(home: &Home, sid: &str, address: &str) -> String {
    digits(&mac(home, "code", sid, address), MAIL_CODE_DIGITS)
}

fn mac(home: &Home, what: &str, sid: &str, address: &str) -> blake3::Hash {
    let key = home.signing_key.derive("hearth threepid token 1");
    let mut mac = blake3::Hasher::new_keyed(&key);
    for part in [what, sid, address] {
        mac.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    }
    mac.finalize()
}

/// So many digits out of a MAC.
fn digits(mac: &blake3::Hash, count: usize) -> String {
    let number = mac.as_bytes().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:0count$}", number % 10_u64.pow(count as u32))
}

/// The hash of a client's secret.
pub(super) fn secret_hash(client_secret: &str) -> [u8; 32] {
    *blake3::hash(client_secret.as_bytes()).as_bytes()
}

/// Shows `token`, which was sent to the address of the session `sid`, and so that the address belongs to
/// whoever does so.
///
/// # Errors
/// `M_SESSION_EXPIRED` if there is no such session, or no longer, or too many tokens were tried in it;
/// `M_TOKEN_INCORRECT`
pub async fn validate(home: &Home, sid: &str, client_secret: &str, token: &str) -> Answer<Next> {
    let gone = || {
        let message = "This link or code is not good any more: ask for another one where you asked for it";
        Refusal::session_expired(message)
    };
    let session = ours(home, sid, client_secret).await?.ok_or_else(gone)?;
    let now_ms = home.clock.now_ms();
    let medium = Medium::named(&session.medium).ok_or_else(gone)?;
    let expected = self::token(home, medium, &session.sid, &session.address);
    let right =
        token.len() <= TOKEN_BYTES_MAX && bool::from(token.trim().as_bytes().ct_eq(expected.as_bytes()));
    if session.validated_ts.is_none() {
        let sent_ts = session.sent_ts.unwrap_or(session.claimed_ts);
        if now_ms.saturating_sub(sent_ts) > TOKEN_LIFE_MS {
            return Err(gone());
        }
        let mut batch = Batch::new();
        stored::guess(&mut batch, &session.sid, GUESSES_MAX);
        if right {
            stored::validate(&mut batch, &session.sid, now_ms);
        }
        home.db.commit(batch).await.map_err(|error| match error {
            store::Error::Refused { .. } => gone(),
            error => error.into(),
        })?;
    }
    if !right {
        return Err(Refusal::token_incorrect("That is not what was sent to the address"));
    }
    Ok(next(home, session.next_link))
}

/// What a session is about.
#[derive(Clone, Debug)]
pub struct About {
    /// What the address is for.
    pub purpose: Purpose,
    /// The address in canonical form.
    pub address: String,
    /// Where to go on once it is validated.
    pub next: Next,
}

/// Shows `code`, which was sent in a mail instead of a link.
///
/// # Errors
/// Those of [`validate`].
pub async fn validate_code(home: &Home, sid: &str, client_secret: &str, code: &str) -> Answer<Next> {
    let about = about(home, sid, client_secret).await?;
    let token = about.and_then(|about| {
        let right = code.trim().as_bytes().ct_eq(self::code(home, sid, &about.address).as_bytes());
        bool::from(right).then(|| token(home, Medium::Email, sid, &about.address))
    });
    // A wrong one counts as a guess like any other.
    validate(home, sid, client_secret, &token.unwrap_or_default()).await
}

/// What the session `sid` is about, for the page on which people confirm; none if there is no such
/// session, or no longer.
///
/// # Errors
/// If the database does not answer.
pub async fn about(home: &Home, sid: &str, client_secret: &str) -> Answer<Option<About>> {
    let session = ours(home, sid, client_secret).await?;
    Ok(session.and_then(|session| {
        let purpose = Purpose::named(&session.purpose)?;
        Some(About { purpose, address: session.address, next: next(home, session.next_link) })
    }))
}

fn next(home: &Home, next_link: Option<String>) -> Next {
    let Some(link) = next_link else { return Next::Back };
    match home.config.email.next_link_hosts.is_empty() {
        true => Next::Stranger(link),
        false => Next::Page(link),
    }
}

/// The session `sid`, if it has this secret and has not expired.
async fn ours(home: &Home, sid: &str, client_secret: &str) -> Answer<Option<stored::SessionRow>> {
    let odd = |text: &str| text.len() > super::credentials::SECRET_BYTES_MAX || text.contains('\0');
    if odd(sid) || odd(client_secret) {
        return Ok(None);
    }
    let secret_hash = secret_hash(client_secret);
    let now_ms = home.clock.now_ms();
    let session = stored::session(&home.db, sid).await?;
    Ok(session.filter(|session| {
        let same = bool::from(session.secret_hash.ct_eq(&secret_hash[..]));
        same && now_ms.saturating_sub(session.validated_ts.unwrap_or(session.created_ts)) <= SESSION_LIFE_MS
    }))
}

/// Whether somebody may still validate the session that `credentials` name.
///
/// # Errors
/// If the database does not answer.
pub async fn is_awaited(home: &Home, credentials: &Credentials) -> Answer<bool> {
    let session = ours(home, &credentials.sid, &credentials.client_secret).await?;
    let sent_ts =
        session.filter(|session| session.validated_ts.is_none()).and_then(|session| session.sent_ts);
    Ok(sent_ts.is_some_and(|sent_ts| home.clock.now_ms().saturating_sub(sent_ts) <= TOKEN_LIFE_MS))
}

/// The address that was validated for `purpose` in the session that `credentials` name; none if it was
/// not, or not yet.
///
/// Whose session it is decides who can send messages: if this server can, an identity server's word is
/// taken only for addresses that somebody who is logged in wants to add.
///
/// # Errors
/// `M_SERVER_NOT_TRUSTED` for the session of another identity server, those of
/// [`identity::validated`].
pub async fn validated(
    home: &Home,
    purpose: Purpose,
    credentials: &Credentials,
) -> Answer<Option<Validated>> {
    if let Some(session) = ours(home, &credentials.sid, &credentials.client_secret).await? {
        let medium = Medium::named(&session.medium);
        let right = session.purpose == purpose.as_str();
        return Ok(medium.zip(session.validated_ts).filter(|_| right).map(|(medium, validated_ts)| {
            Validated { medium, address: session.address, validated_ts, sid: Some(session.sid) }
        }));
    }
    if credentials.id_server.is_none() || !identity::is_configured(home) {
        return Ok(None);
    }
    let validated = identity::validated(home, credentials).await?;
    Ok(validated.filter(|validated| purpose == Purpose::Add || !validated.medium.is_served(home)))
}

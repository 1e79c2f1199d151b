//! The way of a browser to another service and back.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, basic::BasicClient,
};
use reqwest::Url;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use store::{Batch, uia};

use super::{Aim, BEGIN_PATH, CALLBACK_PATH, CHOOSE_PATH, Identity, account, exchange};
use crate::{
    Home,
    accounts::{
        login_tokens,
        opening::Opened,
        ticket,
        uia::{self as interactive, fallback, session::Session},
    },
    config::Provider,
    refusal::{Answer, Refusal},
};

/// How long somebody may take at the service, and to allow what they were asked, in milliseconds.
pub const JOURNEY_LIFE_MS: i64 = 10 * 60 * 1000;

/// Bytes of a URL that a client wants a browser sent to.
pub const REDIRECT_URL_BYTES_MAX: usize = 2_048;

/// Schemes of URLs that a browser would run or open instead of going there.
const NO_PLACES: [&str; 7] = ["javascript", "data", "vbscript", "blob", "file", "about", "filesystem"];

/// Before the name of each cookie.
const COOKIE_PREFIX: &str = "hearth_oauth2_";

/// What `state` says.
#[derive(Serialize, Deserialize)]
struct Journey {
    provider: String,
    aim: Aim,
    /// Whether the browser was given a cookie.
    has_cookie: bool,
}

/// Someone who is to be asked.
#[derive(Serialize, Deserialize)]
struct Asked {
    who: Identity,
    aim: Aim,
}

/// A browser that sets out.
#[derive(Clone, Debug)]
pub struct Departure {
    /// Where it goes.
    pub url: String,
    /// The cookie that it must show when it comes back: `Set-Cookie`.
    pub cookie: String,
}

/// A browser that came back.
pub enum Arrival {
    /// The stage is completed: `window.onAuthDone()`.
    Completed,
    /// The browser goes on to this URL.
    Onward(String),
    /// The credentials of a new session.
    Credentials(Opened),
    /// They are to be asked first: a form with `ticket`, posted to [`ALLOW_PATH`](super::ALLOW_PATH).
    Ask {
        /// What they allow, for people.
        wish: String,
        /// Who they are at the service.
        who: Identity,
        /// The ticket.
        ticket: String,
        /// Where the browser goes if they allow it.
        onward: Option<String>,
    },
}

/// The URL at the provider that begins a journey without a cookie.
pub(super) fn straight(home: &Home, provider: &Provider, aim: &Aim) -> Answer<String> {
    let journey = Journey { provider: provider.id.clone(), aim: aim.clone(), has_cookie: false };
    authorization(home, provider, &seal(home, STATE, &journey))
}

/// The URL of ours at which people choose a provider.
pub(super) fn choosing(home: &Home, aim: &Aim) -> Answer<String> {
    let mut url = ours(home, CHOOSE_PATH)?;
    url.query_pairs_mut().append_pair("aim", &seal(home, AIM, aim));
    Ok(url.into())
}

/// The providers, each with the URL of ours that begins the journey to it, for `aim`.
///
/// # Errors
/// If the configured URL of this server is none.
pub fn begin_urls<'a>(home: &'a Home, aim: &Aim) -> Answer<Vec<(&'a Provider, String)>> {
    let sealed = seal(home, AIM, aim);
    let url = |provider: &Provider| -> Answer<String> {
        let mut url = ours(home, BEGIN_PATH)?;
        url.query_pairs_mut().append_pair("aim", &sealed).append_pair("provider", &provider.id);
        Ok(url.into())
    };
    home.config.oauth2.providers.iter().map(|provider| Ok((provider, url(provider)?))).collect()
}

/// What a sealed `aim` says.
///
/// # Errors
/// `M_UNKNOWN` if it is none of ours or has expired.
pub fn read_aim(home: &Home, sealed: &str) -> Answer<Aim> {
    unseal(home, AIM, sealed)
}

/// The aim of a login that ends at `redirect_url`.
///
/// # Errors
/// `M_INVALID_PARAM` if that is no URL that a browser can go to.
pub fn to_redirect(redirect_url: &str) -> Answer<Aim> {
    let url = Url::parse(redirect_url).ok();
    let is_place = url.is_some_and(|url| !NO_PLACES.contains(&url.scheme()));
    if !is_place || redirect_url.len() > REDIRECT_URL_BYTES_MAX {
        return Err(Refusal::invalid_param("redirectUrl is no URL that a browser can be sent to"));
    }
    Ok(Aim::Redirect(redirect_url.to_owned()))
}

/// Sends a browser to `provider` for `aim`.
///
/// # Errors
/// If the configuration of the provider can not be used.
pub fn depart(home: &Home, provider: &Provider, aim: Aim) -> Answer<Departure> {
    let journey = Journey { provider: provider.id.clone(), aim, has_cookie: true };
    let state = seal(home, STATE, &journey);
    let (name, value) = cookie(home, &state);
    let secure = if home.config.public_url().starts_with("https:") { "; Secure" } else { "" };
    let life_s = JOURNEY_LIFE_MS / 1000;
    let cookie =
        format!("{name}={value}; Path={CALLBACK_PATH}; Max-Age={life_s}; HttpOnly; SameSite=Lax{secure}");
    Ok(Departure { url: authorization(home, provider, &state)?, cookie })
}

/// Takes back a browser that comes with `state`, and with `code` unless they were refused. `cookies` is
/// what it says in `Cookie`.
///
/// # Errors
/// `M_UNKNOWN` if it is none that was sent out, or came back before; `M_FORBIDDEN` if the provider did not
/// let them in, or who they are is not who they must be; `M_UNKNOWN` with 503 if the provider does not
/// answer.
pub async fn arrive(home: &Home, state: &str, code: Option<&str>, cookies: &str) -> Answer<Arrival> {
    let journey: Journey = unseal(home, STATE, state)?;
    if journey.has_cookie && !has_cookie(home, state, cookies) {
        return Err(Refusal::forbidden("Another browser set out on this way: start again in this one"));
    }
    let provider = super::provider(home, &journey.provider)?;
    let refused = || Refusal::forbidden(format!("{} did not let you in: start again", provider.name));
    let code = code.ok_or_else(refused)?;
    once(home, state).await?;
    let who = exchange::identity(home, provider, code, verifier(home, state)).await?;
    let wish = match &journey.aim {
        Aim::Credentials { .. } => return go_on(home, who, journey.aim).await,
        Aim::Stage { .. } if journey.has_cookie => return go_on(home, who, journey.aim).await,
        Aim::Stage { session, .. } => fallback::wish_of(home, session)?.to_owned(),
        Aim::Redirect(url) => format!("log in to {}", site(url)),
    };
    let onward = match &journey.aim {
        Aim::Redirect(url) => Some(url.clone()),
        _ => None,
    };
    let ticket = seal(home, ASKED, &Asked { who: who.clone(), aim: journey.aim });
    Ok(Arrival::Ask { wish, who, ticket, onward })
}

/// Does what somebody allowed who was asked.
///
/// # Errors
/// `M_UNKNOWN` if the ticket is none of ours, has expired or was used; those of [`arrive`].
pub async fn allow(home: &Home, ticket: &str) -> Answer<Arrival> {
    let asked: Asked = unseal(home, ASKED, ticket)?;
    once(home, ticket).await?;
    go_on(home, asked.who, asked.aim).await
}

async fn go_on(home: &Home, who: Identity, aim: Aim) -> Answer<Arrival> {
    match aim {
        Aim::Stage { session, stage } => {
            let session = Session::read(home, &session).ok_or_else(lost)?;
            match &session.user {
                Some(user_id) => account::must_be(home, &who, user_id).await?,
                None => account::must_be_new(home, &who).await?,
            }
            interactive::complete_outside(home, session, &stage, who.fact()).await?;
            Ok(Arrival::Completed)
        }
        Aim::Redirect(url) => {
            let user_id = account::of(home, &who).await?;
            let mut batch = Batch::new();
            let token = login_tokens::issue(home, &mut batch, &user_id, login_tokens::REDIRECT_LIFE_MS);
            home.db.commit(batch).await?;
            Ok(Arrival::Onward(with_token(&url, &token)?))
        }
        Aim::Credentials { user } => {
            let user_id = account::of(home, &who).await?;
            if !login_tokens::is_called(user.as_deref(), &user_id) {
                return Err(Refusal::forbidden("That is the account of somebody else"));
            }
            Ok(Arrival::Credentials(account::open(home, &user_id).await?))
        }
    }
}

/// `url` with the login token, and no other one.
fn with_token(url: &str, token: &str) -> Answer<String> {
    let mut url = Url::parse(url).map_err(|_| lost())?;
    let others: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != "loginToken")
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair("loginToken", token);
    Ok(url.into())
}

/// The site of a URL, for people.
fn site(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str().map(str::to_owned));
    host.or_else(|| parsed.map(|url| format!("the app {}", url.scheme()))).unwrap_or_default()
}

/// The URL at the provider for this `state`.
fn authorization(home: &Home, provider: &Provider, state: &str) -> Answer<String> {
    let auth_url = AuthUrl::new(provider.authorization_url.clone()).map_err(misconfigured)?;
    let client = BasicClient::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(auth_url)
        .set_redirect_uri(RedirectUrl::new(ours(home, CALLBACK_PATH)?.into()).map_err(misconfigured)?);
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier(home, state));
    let (url, _) = client
        .authorize_url(|| CsrfToken::new(state.to_owned()))
        .add_scopes(provider.scopes.iter().cloned().map(Scope::new))
        .set_pkce_challenge(challenge)
        .url();
    Ok(url.into())
}

/// The secret of PKCE for this `state`: made anew from it when the browser is back.
fn verifier(home: &Home, state: &str) -> PkceCodeVerifier {
    let secret = ticket::fingerprint(home, &[b"oauth2 pkce", state.as_bytes()]);
    PkceCodeVerifier::new(URL_SAFE_NO_PAD.encode(secret))
}

/// Name and value of the cookie of this `state`. Each has its own, so that two ways at once do not meet.
fn cookie(home: &Home, state: &str) -> (String, String) {
    let secret = ticket::fingerprint(home, &[b"oauth2 cookie", state.as_bytes()]);
    let (name, value) = secret.split_at(6);
    (format!("{COOKIE_PREFIX}{}", URL_SAFE_NO_PAD.encode(name)), URL_SAFE_NO_PAD.encode(value))
}

/// Whether the cookie of this `state` is among `cookies`.
fn has_cookie(home: &Home, state: &str, cookies: &str) -> bool {
    let (name, value) = cookie(home, state);
    cookies.split(';').any(|cookie| cookie.trim().split_once('=') == Some((&*name, &*value)))
}

/// A URL of this server.
pub(super) fn ours(home: &Home, path: &str) -> Answer<Url> {
    let url = format!("{}{path}", home.config.public_url());
    Url::parse(&url).map_err(|error| Refusal::broken(format!("well_known.client: {error}")))
}

pub(super) fn misconfigured(error: impl std::fmt::Display) -> Refusal {
    Refusal::broken(format!("oauth2.providers: {error}"))
}

const STATE: &str = "oauth2 state";
const AIM: &str = "oauth2 aim";
const ASKED: &str = "oauth2 asked";

fn seal(home: &Home, purpose: &str, said: &impl Serialize) -> String {
    let said = serde_json::to_vec(said).unwrap_or_default();
    ticket::seal(home, &ticket::purpose(&[purpose.as_bytes()]), &said)
}

fn unseal<T: DeserializeOwned>(home: &Home, purpose: &str, sealed: &str) -> Answer<T> {
    let said = ticket::unseal(home, sealed, &ticket::purpose(&[purpose.as_bytes()]), JOURNEY_LIFE_MS);
    said.and_then(|said| serde_json::from_slice(&said).ok()).ok_or_else(lost)
}

/// Refuses a ticket that was used before.
async fn once(home: &Home, ticket: &str) -> Answer<()> {
    let mut batch = Batch::new();
    uia::once(&mut batch, blake3::hash(ticket.as_bytes()).as_bytes(), home.clock.now_ms());
    home.db.commit(batch).await.map(drop).map_err(|error| match error {
        store::Error::Refused { .. } => lost(),
        error => error.into(),
    })
}

fn lost() -> Refusal {
    Refusal::unknown("This link was used or has expired: start again in your client")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_only_to_places() {
        for (url, good) in [
            ("https://client.example.org/?a=b#c", true),
            ("http://localhost:8080/", true),
            ("element://connect", true),
            ("io.element.app:/callback", true),
            ("javascript:alert(1)", false),
            ("JavaScript:alert(1)", false),
            (" javascript:alert(1)", false),
            ("java\nscript:alert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("blob:https://example.org/x", false),
            ("/relative", false),
            ("//example.org/", false),
            ("example.org", false),
            ("", false),
        ] {
            assert_eq!(to_redirect(url).is_ok(), good, "{url:?}");
        }
        let long = format!("https://example.org/{}", "x".repeat(REDIRECT_URL_BYTES_MAX));
        assert!(to_redirect(&long).is_err());
    }

    #[test]
    fn a_url_gets_one_login_token() {
        for (url, expected) in [
            ("https://c.example/", "https://c.example/?loginToken=T"),
            ("https://c.example/?a=b%20c#x", "https://c.example/?a=b+c&loginToken=T#x"),
            ("https://c.example/?loginToken=old&a=1&loginToken=x", "https://c.example/?a=1&loginToken=T"),
            ("element://connect", "element://connect?loginToken=T"),
        ] {
            assert_eq!(with_token(url, "T").expect("a URL"), expected, "{url}");
        }
    }
}

//! The one way in which this server asks others over HTTP: captchas, identity providers, identity
//! servers, text messages, push gateways.
//!
//! Where a request goes is often decided by strangers (an identity server in a request, the DNS of a
//! host). So an address is judged when it is about to be connected to, by [`addresses`]: a name that
//! leads inside is as useless as the address itself. Redirects are not followed, an answer is read up
//! to a limit, and a request takes no longer than [`REQUEST_MAX`].

mod addresses;

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Method, Url,
    dns::{Name, Resolve, Resolving},
    header::{ACCEPT, HeaderValue, RETRY_AFTER},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};

pub use self::addresses::is_public;
use crate::{
    Home,
    config::{Config, Place},
};

/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long a request may take, from the name to the last byte of the answer.
pub const REQUEST_MAX: Duration = Duration::from_secs(15);

/// Bytes of an answer that are read. One that has more is an error.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Idle connections that are kept to each host.
const IDLE_PER_HOST_MAX: usize = 4;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none, is not https, or leads to an address that is not of the public internet. No
    /// request was sent.
    #[error("may not be asked: {0}")]
    NotAllowed(String),
    /// The other side does not answer, or not in time.
    #[error("does not answer: {0}")]
    Unreachable(String),
    /// It answered with another status than 2xx.
    #[error("answered with status {status}")]
    Status {
        /// The status.
        status: u16,
        /// What it said, up to [`ANSWER_BYTES_MAX`].
        body: Vec<u8>,
    },
    /// Its answer has more than [`ANSWER_BYTES_MAX`] bytes.
    #[error("answered with more than {ANSWER_BYTES_MAX} bytes")]
    TooLarge,
    /// Its answer is not the JSON that it should be.
    #[error("answered something else than expected: {0}")]
    Unexpected(String),
}

/// What a request carries besides its URL.
#[derive(Default)]
pub struct Load<'a> {
    /// Sent as `Authorization: Bearer`.
    pub bearer: Option<&'a str>,
    /// Further headers. One that can not be a header is an error.
    pub headers: &'a [(&'static str, String)],
    /// The body and its content type.
    pub body: Option<(&'static str, Vec<u8>)>,
}

/// An answer: the status, whatever it is, and the body.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<String>,
    /// `Retry-After`, if it is a number of seconds.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: Vec<u8>,
}

/// The connections.
pub struct Outgoing {
    /// To everybody.
    general: Way,
    /// To push gateways.
    gateways: Way,
}

/// Where requests may go beside the public internet.
#[derive(Clone, Debug, Default)]
struct Inside {
    /// Everywhere, and without TLS.
    everywhere: bool,
    /// To these hosts; without TLS if the URL names them.
    places: Arc<[Place]>,
}

impl Inside {
    fn names(&self, host: &str) -> bool {
        self.everywhere || self.places.iter().any(|place| place.is_named(host))
    }

    fn has(&self, address: IpAddr) -> bool {
        self.everywhere || self.places.iter().any(|place| place.contains(address))
    }

    fn is_nothing(&self) -> bool {
        !self.everywhere && self.places.is_empty()
    }
}

/// Connections that may go to certain places. Made when the first request is: reading the system's
/// certificates takes a while.
struct Way {
    inside: Inside,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Way {
    fn new(everywhere: bool, places: &[Place]) -> Self {
        Way { inside: Inside { everywhere, places: places.into() }, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        let client = self.client.get_or_init(|| connect(&self.inside));
        client.as_ref().map_err(|why| Error::Unreachable(format!("no requests can be made: {why}")))
    }
}

impl Outgoing {
    /// No connections yet.
    pub fn new(config: &Config) -> Self {
        let everywhere = config.federation.allow_loopback;
        Outgoing {
            general: Way::new(everywhere, &[]),
            gateways: Way::new(everywhere, &config.push.allowed_gateways),
        }
    }
}

/// `POST` of a form (`application/x-www-form-urlencoded`), answered by JSON.
///
/// # Errors
/// See [`Error`].
pub async fn post_form<T: DeserializeOwned>(
    home: &Home,
    url: &str,
    form: &[(&str, &str)],
) -> Result<T, Error> {
    let request = reqwest::Url::parse_with_params("form:", form).ok();
    let body = request.and_then(|url| url.query().map(str::to_owned)).unwrap_or_default().into_bytes();
    let load = Load { body: Some(("application/x-www-form-urlencoded", body)), ..Load::default() };
    json(send(home, Method::POST, url, load).await?)
}

/// `POST` of JSON, answered by JSON.
///
/// # Errors
/// See [`Error`].
pub async fn post_json<T: DeserializeOwned>(
    home: &Home,
    url: &str,
    bearer: Option<&str>,
    body: &impl Serialize,
) -> Result<T, Error> {
    let body = serde_json::to_vec(body).map_err(|error| Error::NotAllowed(error.to_string()))?;
    let load = Load { bearer, body: Some(("application/json", body)), ..Load::default() };
    json(send(home, Method::POST, url, load).await?)
}

/// `GET`, answered by JSON.
///
/// # Errors
/// See [`Error`].
pub async fn get_json<T: DeserializeOwned>(home: &Home, url: &str, bearer: Option<&str>) -> Result<T, Error> {
    json(send(home, Method::GET, url, Load { bearer, ..Load::default() }).await?)
}

/// Any request; answers whatever the status is.
///
/// # Errors
/// [`Error::NotAllowed`], [`Error::Unreachable`], [`Error::TooLarge`].
pub async fn send(home: &Home, method: Method, url: &str, load: Load<'_>) -> Result<Reply, Error> {
    send_by(&home.outgoing.general, method, url, load).await
}

/// `POST` of JSON to a push gateway, which may be one inside that the operator has listed; answers
/// whatever the status is.
///
/// # Errors
/// Those of [`send`].
pub async fn post_to_gateway(home: &Home, url: &str, json: Vec<u8>) -> Result<Reply, Error> {
    let load = Load { body: Some(("application/json", json)), ..Load::default() };
    send_by(&home.outgoing.gateways, Method::POST, url, load).await
}

/// The URL of a push gateway, and whether it is one that the operator has listed. Where its name leads is
/// judged when it is asked.
///
/// # Errors
/// [`Error::NotAllowed`]
pub fn gateway(home: &Home, url: &str) -> Result<(Url, bool), Error> {
    let inside = &home.outgoing.gateways.inside;
    let url = allowed(url, inside)?;
    let listed = inside.names(url.host_str().unwrap_or_default());
    Ok((url, listed))
}

async fn send_by(way: &Way, method: Method, url: &str, load: Load<'_>) -> Result<Reply, Error> {
    let url = allowed(url, &way.inside)?;
    let mut request = way.client()?.request(method, url).header(ACCEPT, "application/json");
    if let Some(token) = load.bearer {
        request = request.bearer_auth(token);
    }
    for (name, value) in load.headers {
        request = request.header(*name, value);
    }
    if let Some((content_type, body)) = load.body {
        request = request.header("content-type", content_type).body(body);
    }
    let mut response = request.send().await.map_err(failed)?;
    let content_type = response.headers().get("content-type").map(HeaderValue::as_bytes);
    let content_type = content_type.map(|value| String::from_utf8_lossy(value).into_owned());
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after_s = retry_after.and_then(|value| value.trim().parse().ok());
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, content_type, retry_after_s, body })
}

fn json<T: DeserializeOwned>(reply: Reply) -> Result<T, Error> {
    if !(200..300).contains(&reply.status) {
        return Err(Error::Status { status: reply.status, body: reply.body });
    }
    serde_json::from_slice(&reply.body).map_err(|error| Error::Unexpected(error.to_string()))
}

/// `url`, if it may be asked. Names are judged later, by the addresses that they lead to.
fn allowed(url: &str, inside: &Inside) -> Result<Url, Error> {
    let not = |why: String| Err(Error::NotAllowed(why));
    let url = Url::parse(url).map_err(|error| Error::NotAllowed(error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return not("a URL has no user here".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        "https" => {}
        "http" if inside.names(host) => {}
        scheme => return not(format!("{scheme} is not https")),
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !is_public(address) && !inside.has(address) => {
            not(format!("{address} is no address of the public internet"))
        }
        Err(_) if host.is_empty() => not("the URL has no host".to_owned()),
        _ => Ok(url),
    }
}

fn connect(inside: &Inside) -> Result<reqwest::Client, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new(provider.clone())
        .map_err(|error| format!("the system's certificates: {error}"))?;
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Names { inside: inside.clone() })
        .https_only(inside.is_nothing())
        .redirect(redirect::Policy::none())
        // A proxy would connect to addresses that nobody has judged.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_MAX)
        .timeout(REQUEST_MAX)
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .user_agent(concat!("hearth/", env!("CARGO_PKG_VERSION")))
        .build();
    client.map_err(|error| error.to_string())
}

/// What went wrong, without the URL, which may hold secrets.
fn failed(error: reqwest::Error) -> Error {
    let mut cause: &dyn std::error::Error = &error;
    loop {
        if let Some(nowhere) = cause.downcast_ref::<Nowhere>() {
            return Error::NotAllowed(nowhere.to_string());
        }
        match cause.source() {
            Some(source) => cause = source,
            None if error.is_timeout() => return Error::Unreachable("it took too long".to_owned()),
            None => return Error::Unreachable(cause.to_string()),
        }
    }
}

/// A name leads to no address that may be asked.
#[derive(Debug, thiserror::Error)]
#[error("{0} leads to no address of the public internet")]
struct Nowhere(String);

/// The names of hosts, as the system knows them, but only their addresses that may be asked.
struct Names {
    inside: Inside,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let inside = self.inside.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let anywhere = inside.names(name.as_str());
            let may = |address: IpAddr| anywhere || is_public(address) || inside.has(address);
            let allowed: Vec<_> = found.filter(|address| may(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Nowhere(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Box<dyn Iterator<Item = _> + Send>)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_to_the_outside_may_be_asked() {
        for (url, inside, outside) in [
            ("https://example.org/a?b=c", true, true),
            ("https://192.0.2.1/", true, false),
            ("https://93.184.215.14/", true, true),
            ("http://example.org/", true, false),
            ("http://127.0.0.1:8008/", true, false),
            ("https://127.0.0.1/", true, false),
            ("https://2130706433/", true, false),
            ("https://0x7f.1/", true, false),
            ("https://017700000001/", true, false),
            ("https://[::1]/", true, false),
            ("https://[::ffff:10.0.0.1]/", true, false),
            ("https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/", true, true),
            ("https://user:password@example.org/", false, false),
            ("ftp://example.org/", false, false),
            ("file:///etc/passwd", false, false),
            ("example.org", false, false),
            ("", false, false),
        ] {
            let everywhere = Inside { everywhere: true, ..Inside::default() };
            assert_eq!(allowed(url, &everywhere).is_ok(), inside, "{url}");
            assert_eq!(allowed(url, &Inside::default()).is_ok(), outside, "{url}");
        }
    }

    #[test]
    fn what_is_listed_may_be_asked_also_without_tls() {
        let places = ["sygnal", "10.1.0.0/16"].map(|place| place.parse().expect("a place"));
        let inside = Inside { everywhere: false, places: places.into() };
        for (url, may) in [
            ("http://sygnal:5000/", true),
            ("https://sygnal/", true),
            ("http://10.1.2.3/", true),
            ("https://10.1.2.3/", true),
            ("https://10.2.0.1/", false),
            ("http://10.2.0.1/", false),
            ("http://example.org/", false),
            ("https://example.org/", true),
            ("https://127.0.0.1/", false),
        ] {
            assert_eq!(allowed(url, &inside).is_ok(), may, "{url}");
        }
    }
}

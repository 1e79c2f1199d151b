//! The one way in which this server asks others over HTTP: captchas, identity providers, identity
//! servers, text messages.
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
    header::{ACCEPT, HeaderValue},
    redirect,
};
use serde::{Serialize, de::DeserializeOwned};

pub use self::addresses::is_public;
use crate::Home;

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
    /// The body.
    pub body: Vec<u8>,
}

/// The connections. Made when the first request is: reading the system's certificates takes a while.
pub struct Outgoing {
    allow_loopback: bool,
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Outgoing {
    /// No connections yet. `allow_loopback` lets requests go everywhere, and without TLS.
    pub fn new(allow_loopback: bool) -> Self {
        Outgoing { allow_loopback, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&reqwest::Client, Error> {
        let client = self.client.get_or_init(|| connect(self.allow_loopback));
        client.as_ref().map_err(|why| Error::Unreachable(format!("no requests can be made: {why}")))
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
    let outgoing = &home.outgoing;
    let url = allowed(url, outgoing.allow_loopback)?;
    let mut request = outgoing.client()?.request(method, url).header(ACCEPT, "application/json");
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
    let (status, mut body) = (response.status().as_u16(), Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Error::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, content_type, body })
}

fn json<T: DeserializeOwned>(reply: Reply) -> Result<T, Error> {
    if !(200..300).contains(&reply.status) {
        return Err(Error::Status { status: reply.status, body: reply.body });
    }
    serde_json::from_slice(&reply.body).map_err(|error| Error::Unexpected(error.to_string()))
}

/// `url`, if it may be asked. Names are judged later, by the addresses that they lead to.
fn allowed(url: &str, allow_loopback: bool) -> Result<Url, Error> {
    let not = |why: String| Err(Error::NotAllowed(why));
    let url = Url::parse(url).map_err(|error| Error::NotAllowed(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_loopback => {}
        scheme => return not(format!("{scheme} is not https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return not("a URL has no user here".to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    match literal {
        Ok(address) if !allow_loopback && !is_public(address) => {
            not(format!("{address} is no address of the public internet"))
        }
        Err(_) if host.is_empty() => not("the URL has no host".to_owned()),
        _ => Ok(url),
    }
}

fn connect(allow_loopback: bool) -> Result<reqwest::Client, String> {
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
        .dns_resolver(Names { allow_loopback })
        .https_only(!allow_loopback)
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
        if let Some(inside) = cause.downcast_ref::<Inside>() {
            return Error::NotAllowed(inside.to_string());
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
struct Inside(String);

/// The names of hosts, as the system knows them, but only their public addresses.
struct Names {
    allow_loopback: bool,
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_loopback = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| allow_loopback || is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Inside(name.as_str().to_owned()).into());
            }
            Ok(Box::new(public.into_iter()) as Box<dyn Iterator<Item = _> + Send>)
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
            assert_eq!(allowed(url, true).is_ok(), inside, "{url}");
            assert_eq!(allowed(url, false).is_ok(), outside, "{url}");
        }
    }
}

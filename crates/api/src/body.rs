//! Request bodies: collected within limits of size and time, read with the errcode that fits.

use std::{ops::Deref, time::Duration};

use axum::body::Body;
use homeserver::{Answer, Home, Refusal, space::BodySpace};
use http::{Method, header, request::Parts};
use http_body_util::BodyExt;
use ruma::api::{
    IncomingRequest, IncomingRequestExt,
    error::{DeserializationError, FromHttpRequestError},
};
use serde::de::DeserializeOwned;

/// Bytes of a request body. An event has at most 65,536; a room may be created with many.
pub const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// How long a body may take to arrive.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(30);

/// A body that has arrived, and the space that it takes until it is dropped.
#[derive(Default)]
pub struct Arrived {
    bytes: Vec<u8>,
    space: BodySpace,
}

impl Deref for Arrived {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The whole body of a request, of a stranger or of somebody known.
///
/// # Errors
/// `M_TOO_LARGE` past [`BODY_BYTES_MAX`], `M_UNKNOWN` past [`BODY_TIME_MAX`], if it breaks off or too much
/// arrives at once.
pub async fn collect(home: &Home, parts: &Parts, stream: Body, is_stranger: bool) -> Answer<Arrived> {
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    if length == Some(0) || (length.is_none() && parts.method == Method::GET) {
        return Ok(Arrived::default());
    }
    match tokio::time::timeout(BODY_TIME_MAX, arrive(home, stream, is_stranger)).await {
        Err(_) => Err(Refusal::new(408, "M_UNKNOWN", "The request body took too long to arrive")),
        Ok(arrived) => arrived,
    }
}

/// Copies what arrives, for pieces of one byte would each keep what they came in.
async fn arrive(home: &Home, mut stream: Body, is_stranger: bool) -> Answer<Arrived> {
    let mut arrived = Arrived::default();
    while let Some(frame) = stream.frame().await {
        let frame = frame.map_err(|_| Refusal::unknown("The request body broke off"))?;
        let Ok(piece) = frame.into_data() else { continue };
        let length = arrived.bytes.len() + piece.len();
        if length > BODY_BYTES_MAX {
            return Err(too_large());
        }
        home.space.body(&mut arrived.space, length, is_stranger)?;
        arrived.bytes.extend_from_slice(&piece);
    }
    Ok(arrived)
}

fn too_large() -> Refusal {
    Refusal::too_large(format!("A request body has at most {BODY_BYTES_MAX} bytes"))
}

/// Reads JSON into a type.
///
/// # Errors
/// `M_NOT_JSON` if it is none, `M_BAD_JSON` if it is not what the type takes.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let read = serde_json::from_slice(bytes).map_err(|error| json_refusal(&error))?;
    must_be_no_list(bytes)?;
    Ok(read)
}

/// Refuses a list: no endpoint takes one, but serde reads the fields of a type out of it, in their order.
///
/// # Errors
/// `M_BAD_JSON`
fn must_be_no_list(bytes: &[u8]) -> Answer<()> {
    let is_list = bytes.trim_ascii_start().first() == Some(&b'[');
    if is_list { Err(Refusal::bad_json("The request body must be an object, not a list")) } else { Ok(()) }
}

/// Reads a question that ruma has a type for.
///
/// # Errors
/// `M_NOT_JSON`, `M_BAD_JSON`, `M_MISSING_PARAM` or `M_INVALID_PARAM`.
pub fn read_typed<T: IncomingRequest>(request: http::Request<&[u8]>, path: &[&str]) -> Answer<T> {
    let (mut parts, bytes) = request.into_parts();
    let bytes = match bytes {
        // Clients leave out a body that has nothing to say.
        b"" if T::METHOD != Method::GET => b"{}",
        bytes => bytes,
    };
    if parts.method == Method::HEAD {
        parts.method = Method::GET;
    }
    let read = T::try_from_http_request(http::Request::from_parts(parts, bytes), path);
    let read = read.map_err(|error| match error {
        FromHttpRequestError::Deserialization(error) => deserialization_refusal(&error, bytes),
        error => Refusal::unrecognized(error.to_string()),
    })?;
    must_be_no_list(bytes)?;
    Ok(read)
}

fn deserialization_refusal(error: &DeserializationError, bytes: &[u8]) -> Refusal {
    match error {
        DeserializationError::Json(error) => json_refusal(error),
        _ if !bytes.is_empty() && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err() => {
            Refusal::not_json("The request body is not JSON")
        }
        DeserializationError::Query(error) if error.to_string().starts_with("missing field") => {
            Refusal::missing_param(format!("The query: {error}"))
        }
        error => Refusal::invalid_param(format!("The path or the query: {error}")),
    }
}

fn json_refusal(error: &serde_json::Error) -> Refusal {
    // What is nested too deeply is JSON all the same.
    let too_deep = error.is_syntax() && error.to_string().starts_with("recursion limit exceeded");
    if error.is_data() || too_deep {
        Refusal::bad_json(format!("The request body: {error}"))
    } else {
        Refusal::not_json(format!("The request body is not JSON: {error}"))
    }
}

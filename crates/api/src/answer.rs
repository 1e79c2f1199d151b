//! Replies as bytes, and refusals as the error object.

use std::sync::Arc;

use axum::{
    body::{Body, HttpBody},
    response::Response,
};
use bytes::Bytes;
use homeserver::{
    Answer, Home, Refusal,
    space::{AnswerSpace, SMALL_ANSWER_BYTES},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use ruma::{
    OwnedUserId,
    api::{OutgoingResponse, OutgoingResponseExt},
};
use serde::Serialize;

use crate::endpoint::Typed;

/// How a reply becomes bytes. `How` tells apart ruma's types and our own.
pub trait Reply<How>: Send + 'static {
    /// The HTTP answer.
    fn reply(self) -> Answer<Response>;
}

impl<T: OutgoingResponse + Send + 'static> Reply<Typed> for T {
    fn reply(self) -> Answer<Response> {
        let response = self
            .try_into_http_response::<Vec<u8>>()
            .map_err(|error| Refusal::broken(format!("the answer can not be written: {error}")))?;
        let (mut parts, bytes) = response.into_parts();
        open_to_all_origins(&mut parts.headers);
        Ok(Response::from_parts(parts, Body::from(bytes)))
    }
}

/// Replies that are bytes already.
pub enum Written {}

/// A reply of JSON bytes.
#[derive(Debug)]
pub struct Json(pub Bytes);

impl Json {
    /// Writes `value` as JSON.
    ///
    /// # Errors
    /// A broken server, if the value has no JSON.
    pub fn of(value: &impl Serialize) -> Answer<Self> {
        let bytes = serde_json::to_vec(value)
            .map_err(|error| Refusal::broken(format!("the answer can not be written: {error}")))?;
        Ok(Json(bytes.into()))
    }
}

impl Reply<Written> for Json {
    fn reply(self) -> Answer<Response> {
        Ok(json(StatusCode::OK, self.0))
    }
}

impl Reply<Written> for Response {
    fn reply(mut self) -> Answer<Response> {
        open_to_all_origins(self.headers_mut());
        Ok(self)
    }
}

/// Sees to it that a large answer takes space until `reader` has read it.
///
/// # Errors
/// 503 if too many wait to be read.
pub fn hold(home: &Home, reader: Option<OwnedUserId>, response: Response) -> Answer<Response> {
    // One that is made piece by piece waits for its reader by itself.
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes.filter(|bytes| *bytes > SMALL_ANSWER_BYTES) else { return Ok(response) };
    let space = Arc::new(home.space.answer(reader, bytes)?);
    Ok(response.map(|body| {
        let held = body.map_frame(move |frame| {
            let space = space.clone();
            frame.map_data(|bytes| Bytes::from_owner(Held { bytes, _space: space }))
        });
        Body::new(held)
    }))
}

/// Bytes that take space wherever they are.
struct Held {
    bytes: Bytes,
    _space: Arc<AnswerSpace>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The error object as an answer.
pub fn refuse(home: &Home, refusal: &Refusal) -> Response {
    note(home, refusal);
    error_object(refusal)
}

/// The same for what needs no line in the log.
pub fn error_object(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, refusal.body().to_string().into());
    if let Some(wait_s) = wait_s(refusal) {
        response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    }
    response
}

/// Logs a refusal, where it becomes an answer and nowhere else.
pub fn note(home: &Home, refusal: &Refusal) {
    if refusal.is_outage {
        home.outage.refuses(refusal, home.clock.now_ms());
    } else if refusal.status >= 500 {
        let cause = refusal.cause.as_deref().unwrap_or(&refusal.message);
        tracing::error!(status = refusal.status, cause, "request failed");
    } else {
        tracing::debug!(status = refusal.status, errcode = refusal.errcode, "request refused");
    }
}

/// For how many seconds whoever was refused should wait.
pub fn wait_s(refusal: &Refusal) -> Option<u64> {
    let wait_ms = refusal.extra.as_ref()?.get("retry_after_ms")?.as_u64()?;
    Some(wait_ms.div_ceil(1000))
}

fn json(status: StatusCode, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    open_to_all_origins(response.headers_mut());
    response
}

/// Lets web clients of every origin read the answer
/// (<https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients>).
pub fn open_to_all_origins(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("X-Requested-With, Content-Type, Authorization"),
    );
}

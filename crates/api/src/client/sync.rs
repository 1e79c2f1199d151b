//! `GET /_matrix/client/v3/sync`

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::Response};
use futures_util::{StreamExt, TryStreamExt, future::ready, stream};
use homeserver::{
    Answer, Home, Refusal,
    sync::{self, Ask, Filter, Synced},
};
use http::{HeaderValue, header};
use ruma::presence::PresenceState;

use crate::{caller::DeviceOrGuest, plain::Plain};

/// What happened since the client's last sync. Written by hand, for nothing is asked more often.
pub async fn get(home: Home, DeviceOrGuest(who): DeviceOrGuest, ask: Plain) -> Answer<Response> {
    let filter = Box::pin(Filter::read(&home, &who, ask.query("filter"))).await?;
    let ask = read(&ask, filter)?;
    let synced = sync::sync(&home, &who, ask).await?;
    Box::pin(respond(synced)).await
}

/// So much of an answer is made before its head is sent: until then it can be refused. In bytes.
const BEGINNING_BYTES: usize = 64 * 1024;

/// The answer, in one piece or piece by piece.
///
/// # Errors
/// What goes wrong at the beginning of an answer that is made piece by piece.
pub(super) async fn respond(synced: Synced) -> Answer<Response> {
    let body = match synced {
        Synced::Whole(json) => Body::from(json),
        Synced::Streamed(mut pieces) => {
            let mut beginning = Vec::new();
            while beginning.len() < BEGINNING_BYTES
                && let Some(piece) = pieces.try_next().await?
            {
                beginning.extend_from_slice(&piece);
            }
            let rest = pieces.inspect_err(|refusal| tracing::error!(%refusal, "a sync broke off"));
            Body::from_stream(stream::once(ready(Ok(beginning.into()))).chain(rest))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// What a client asks of `/sync`.
///
/// # Errors
/// `M_INVALID_PARAM`
pub fn read(ask: &Plain, filter: Arc<Filter>) -> Answer<Ask> {
    let since = ask.query("since").filter(|since| !since.is_empty());
    let timeout_ms = ask.query("timeout").map(str::parse::<u64>).transpose();
    let timeout_ms = timeout_ms.map_err(|_| wrong("timeout", "a whole number of milliseconds"))?;
    let set_presence = match ask.query("set_presence") {
        None => PresenceState::Online,
        Some(state @ ("online" | "unavailable" | "offline")) => PresenceState::from(state),
        Some(_) => return Err(wrong("set_presence", "online, unavailable or offline")),
    };
    Ok(Ask {
        since: since.map(str::parse).transpose()?,
        filter,
        full_state: flag(ask, "full_state")?,
        use_state_after: flag(ask, "use_state_after")?,
        set_presence,
        timeout: Duration::from_millis(timeout_ms.unwrap_or(0)).min(sync::TIMEOUT_MAX),
    })
}

fn flag(ask: &Plain, name: &str) -> Answer<bool> {
    match ask.query(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(wrong(name, "true or false")),
    }
}

fn wrong(name: &str, wanted: &str) -> Refusal {
    Refusal::invalid_param(format!("`{name}` in the query must be {wanted}"))
}

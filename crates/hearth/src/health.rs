//! `GET /health`: whether the server can do its work, for load balancers and supervisors.

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use homeserver::{Home, outage};

/// The one route.
pub fn router(home: Home) -> Router {
    Router::new().route("/health", get(health)).with_state(home)
}

/// 200 while the server works; 503 if the database does not answer or can not be written, or the
/// server is stopping and should get no new requests.
async fn health(State(home): State<Home>) -> impl IntoResponse {
    let stopping = *home.stopping.borrow();
    let status = if stopping { "stopping" } else { outage::ailment(&home).await.unwrap_or("ok") };
    let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(CONTENT_TYPE, "application/json")], format!("{{\"status\":\"{status}\"}}"))
}

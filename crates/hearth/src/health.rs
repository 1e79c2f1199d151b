//! `GET /health`: whether the server can do its work, for load balancers and supervisors.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use homeserver::Home;
use tokio::time::timeout;

/// How long the database may take to answer.
const DATABASE_MAX: Duration = Duration::from_secs(2);

/// The one route.
pub fn router(home: Home) -> Router {
    Router::new().route("/health", get(health)).with_state(home)
}

/// 200 while the server works; 503 if the database does not answer or can not be written, or the
/// server is stopping and should get no new requests.
async fn health(State(home): State<Home>) -> impl IntoResponse {
    let status = if *home.stopping.borrow() { "stopping" } else { database(&home).await };
    let code = if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [(CONTENT_TYPE, "application/json")], format!("{{\"status\":\"{status}\"}}"))
}

async fn database(home: &Home) -> &'static str {
    match timeout(DATABASE_MAX, store::settings::get(&home.db, "server_name")).await {
        Ok(Ok(Some(_))) => writing(home).await,
        Ok(_) => "the database fails",
        Err(_) => "the database does not answer",
    }
}

/// Where the last write failed, the next one says whether that is over. Nobody else may write for
/// long, if load balancers believe what they read here.
async fn writing(home: &Home) -> &'static str {
    if home.db.ailment().is_none() {
        return "ok";
    }
    match timeout(DATABASE_MAX, store::settings::touch(&home.db)).await {
        Ok(Ok(())) => "ok",
        Ok(Err(store::Error::Full)) => "the database has no room left",
        Ok(Err(store::Error::ReadOnly)) => "the database is read-only",
        Ok(Err(_)) => "the database fails",
        Err(_) => "the database does not answer",
    }
}

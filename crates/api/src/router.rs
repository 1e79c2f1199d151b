//! The router: every endpoint under every path it has, and an error object for all other paths.

use axum::{Router, extract::Request, response::Response};
use homeserver::{Home, Refusal};
use http::{HeaderValue, Method, StatusCode, header};

use crate::{answer, routes};

/// Everything that the server answers.
pub fn router(home: Home) -> Router {
    let mut router = Router::new();
    for endpoint in routes::routes() {
        for path in &endpoint.paths {
            router = router.route(path, endpoint.serve());
        }
    }
    router.fallback(no_such_path).method_not_allowed_fallback(no_such_method).with_state(home)
}

async fn no_such_path(request: Request) -> Response {
    preflight(&request).unwrap_or_else(|| {
        answer::error_object(&Refusal::unrecognized(
            "There is no such endpoint: check the path and its version",
        ))
    })
}

async fn no_such_method(request: Request) -> Response {
    preflight(&request).unwrap_or_else(|| {
        let message = format!("This endpoint does not take {}", request.method());
        answer::error_object(&Refusal::method_unrecognized(message))
    })
}

/// For how many seconds a browser need not ask again. Most remember it for two hours at most.
const PREFLIGHT_LIFE: HeaderValue = HeaderValue::from_static("86400");

/// A browser asks whether it may ask: always.
fn preflight(request: &Request) -> Option<Response> {
    (request.method() == Method::OPTIONS).then(|| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NO_CONTENT;
        answer::open_to_all_origins(response.headers_mut());
        response.headers_mut().insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_LIFE);
        response
    })
}

//! Refusals as pages: what is wrong, and what to do about it.

use askama::Template;
use axum::response::Response;
use homeserver::{Home, Refusal};
use http::{StatusCode, header};

use super::page::Page;
use crate::answer::{self, Reply};

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    message: &'a str,
    advice: &'static str,
}

/// The answer to a request for a page that is refused.
pub fn refuse(home: &Home, refusal: &Refusal) -> Response {
    answer::note(home, refusal);
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content = Refused { message: &refusal.message, advice: advice(refusal) };
    let page = Page::new(home, title(refusal), &content).and_then(|page| page.with_status(status).reply());
    // A page that can not be written is refused without one.
    let mut response = page.unwrap_or_else(|refusal| answer::refuse(home, &refusal));
    if let Some(wait_s) = answer::wait_s(refusal) {
        response.headers_mut().insert(header::RETRY_AFTER, wait_s.into());
    }
    response
}

fn title(refusal: &Refusal) -> &'static str {
    match refusal.status {
        429 => "Too many requests",
        500.. => "The server has a problem",
        _ => "This did not work",
    }
}

fn advice(refusal: &Refusal) -> &'static str {
    match refusal.status {
        429 => "Wait a minute, then load this page again.",
        500.. => "Try again in a few minutes. If that does not help, tell whoever runs this server.",
        _ => "Go back to the app or the message that led you here, and start again from there.",
    }
}

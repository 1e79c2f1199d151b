//! Refusals in the words of 2015.
//!
//! The document of that time has fewer of them (`intro.rst`, «API Standards»): one errcode for whatever is
//! wrong with a body, and one of its own for pages that can not be had.

use axum::response::Response;
use homeserver::{Home, Refusal};

use crate::answer;

/// The answer to a request that is refused. Who leaves out a key sent bad JSON.
pub fn refuse(home: &Home, refusal: &Refusal) -> Response {
    answer::refuse(home, &called("M_MISSING_PARAM", "M_BAD_JSON", refusal.clone()))
}

/// What is wrong with the query of a page.
pub(super) fn bad_pagination(refusal: Refusal) -> Refusal {
    called("M_INVALID_PARAM", "M_BAD_PAGINATION", refusal)
}

fn called(today: &str, then: &'static str, refusal: Refusal) -> Refusal {
    if refusal.errcode == today { Refusal { errcode: then, ..refusal } } else { refusal }
}

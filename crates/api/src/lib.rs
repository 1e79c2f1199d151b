//! HTTP: one file per endpoint or per module of the specification, folders are the URL.
//!
//! [`routes`] has every endpoint on one line. [`endpoint`] is the only place that knows how axum and
//! ruma read a request and write an answer; [`caller`] is the only place where it is decided who
//! asks. Everything else is functions `verb(home, who, ask)` that call `homeserver`.

pub mod answer;
pub mod body;
pub mod caller;
pub mod client;
pub mod endpoint;
pub mod interactive;
pub mod pages;
pub mod plain;
pub mod router;
pub mod routes;

pub use homeserver::refusal::{Answer, Refusal};
pub use router::router;

//! Pages for people: what this server is, logging in, registering, the stages of authentication that
//! an app can not show itself, the links in e-mails, and what went wrong.
//!
//! Apps open them in web views and browsers (login fallback and fallback of user-interactive
//! authentication, <https://spec.matrix.org/v1.19/client-server-api/#fallback>). The HTML is in
//! `templates/`; [`page`] puts it into the layout and says what a browser lets it do.

pub mod address;
pub mod form;
pub mod front;
pub mod login;
pub mod page;
pub mod refused;
pub mod register;
pub mod stage;

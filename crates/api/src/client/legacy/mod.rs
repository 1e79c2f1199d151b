//! The API of 2015, `/_matrix/client/api/v1` and `/_matrix/client/v2_alpha`: one file for each document
//! that asks or answers in another way than today. What did not change is served by the same function, under
//! both paths: see `routes/legacy.rs`.

pub mod create_room;
pub mod directory;
pub mod inviting;
pub mod list_public_rooms;
pub mod login;
pub mod membership;
pub mod message_pagination;
pub mod once;
pub mod presence;
pub mod pushers;
pub mod pushrules;
pub mod refused;
pub mod registration;
pub mod room_send;
pub mod rooms;
pub mod search;
pub mod sync;
pub mod v2_sync;

use homeserver::{Answer, Home, Refusal, Token};

use crate::{client::messages, plain::Plain};

/// A whole number in the query.
///
/// # Errors
/// `M_INVALID_PARAM`
fn number<T: std::str::FromStr>(ask: &Plain, name: &str) -> Answer<Option<T>> {
    let wrong = |_| Refusal::invalid_param(format!("`{name}` in the query must be a whole number"));
    ask.query(name).filter(|text| !text.is_empty()).map(str::parse).transpose().map_err(wrong)
}

/// A place in the stream. `START` and `END` are those of the document's examples, which clients of its time
/// sent as they are.
///
/// # Errors
/// `M_INVALID_PARAM`
fn token(home: &Home, text: Option<&str>) -> Answer<Option<Token>> {
    match text {
        Some("START") => Ok(Some(Token::after(0))),
        Some("END") => Ok(Some(Token::newest(home))),
        text => messages::token(text),
    }
}

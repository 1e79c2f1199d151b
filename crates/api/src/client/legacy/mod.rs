//! The API of 2015: `/_matrix/client/api/v1` and `/_matrix/client/v2_alpha`, over the same verbs.

pub mod login;
pub mod registration;

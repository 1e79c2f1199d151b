//! Accounts, devices and sessions.

pub mod register;
pub mod sessions;

pub use sessions::{Session, session};

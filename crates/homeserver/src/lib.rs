//! homeserver

pub mod config;

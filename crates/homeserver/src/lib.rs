//! homeserver

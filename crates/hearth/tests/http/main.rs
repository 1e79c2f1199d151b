//! The whole server over HTTP, each test on both databases.

mod harness;
mod rooms_send;

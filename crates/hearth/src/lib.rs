//! The program: command line, configuration file, start and stop.
//!
//! [`start`] makes a `Home` out of a configuration and serves it; [`config`] reads the file and
//! says what is wrong with it; [`listen`] bounds the connections. It is a library so that tests
//! can run the server in their own process, with a clock and dice of their own.

pub mod admin;
pub mod backup;
pub mod config;
pub mod health;
pub mod listen;
pub mod logs;
pub mod manual;
pub mod metrics;
pub mod progress;
pub mod start;
mod steady;
pub mod verify;

//! The program: command line, configuration file, start and stop.

pub mod config;
pub mod listen;
pub mod logs;
pub mod manual;
pub mod metrics;

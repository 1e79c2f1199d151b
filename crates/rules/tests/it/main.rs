//! The rules, as tables of cases and as properties.
#![allow(unused_crate_dependencies, missing_docs)]

mod against_ruma;
mod as_ruma;
mod authorization;
mod canonical;
mod event;
mod event_fields;
mod filter;
mod format;
mod membership;
mod power_levels;
mod push;
mod redaction;
mod resolution;
mod scene;
mod versions;
mod visibility;

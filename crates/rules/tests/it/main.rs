//! The rules, as tables of cases and as properties.
#![allow(unused_crate_dependencies, missing_docs)]

mod against_ruma;
mod authorization;
mod event;
mod membership;
mod power_levels;
mod resolution;
mod scene;

//! The rules, as tables of cases and as properties.
#![allow(unused_crate_dependencies, missing_docs)]

mod event;

//! The whole server over HTTP, each test on both databases.

#![allow(unreachable_pub, reason = "a test is no library")]
#![allow(dead_code, reason = "the harness offers more than the tests of one day use")]
#![allow(clippy::field_reassign_with_default, reason = "a configuration reads best as one")]

mod absent;
mod account;
mod captcha;
mod conversation;
mod delayed_events;
mod devices;
mod directory;
mod errors;
mod filters;
mod harness;
mod identity;
mod ignoring;
mod legacy_events;
mod legacy_examples;
mod legacy_login;
mod legacy_modules;
mod legacy_rooms;
mod legacy_sync;
mod limits;
mod login;
mod macaroons;
mod mail;
mod mailbox;
mod moderation;
mod mutual_rooms;
mod oauth2;
mod oauth2_provider;
mod openapi;
mod openapi_2015;
mod openid;
mod outgoing;
mod pages;
mod password_reset;
mod profiles;
mod push_rules;
mod register;
mod registration_rules;
mod relations;
mod reports;
mod rooms_create;
mod rooms_crowd;
mod rooms_history;
mod rooms_membership;
mod rooms_messages;
mod rooms_redact;
mod rooms_send;
mod rooms_state;
mod rooms_upgrade;
mod scene;
mod secrets;
mod spaces;
mod standin;
mod sync;
mod sync_model;
mod threepids;
mod uia_stages;
mod user_directory;

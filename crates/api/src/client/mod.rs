//! The client-server API: one file per module of the specification.

pub mod account;
pub mod admin;
pub mod capabilities;
pub mod create_room;
pub mod devices;
pub mod directory;
pub mod filter;
pub mod membership;
pub mod messages;
pub mod mutual_rooms;
pub mod profile;
pub mod public_rooms;
pub mod push;
pub mod registration;
pub mod relations;
pub mod room_event;
pub mod room_send;
pub mod room_state;
pub mod room_summary;
pub mod room_upgrade;
pub mod session;
pub mod third_party;
pub mod user_directory;
pub mod versions;
pub mod voip;
pub mod well_known;

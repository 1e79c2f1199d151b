//! The client-server API: one file per module of the specification.

pub mod create_room;
pub mod directory;
pub mod filter;
pub mod membership;
pub mod messages;
pub mod mutual_rooms;
pub mod profile;
pub mod public_rooms;
pub mod registration;
pub mod relations;
pub mod room_event;
pub mod room_send;
pub mod session;
pub mod versions;
pub mod well_known;

//! The client-server API: one file per module of the specification.

pub mod create_room;
pub mod membership;
pub mod mutual_rooms;
pub mod room_send;
pub mod versions;

//! The client-server API: one file per module of the specification.

pub mod mutual_rooms;
pub mod room_send;
pub mod versions;

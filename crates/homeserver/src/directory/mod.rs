//! Finding rooms and people: aliases, the list of public rooms, rooms in common.

pub mod mutual_rooms;

//! Every endpoint on one line, in the order of the specification's chapters.

use http::Method;

use crate::{
    client::{create_room, membership, mutual_rooms, room_send, versions},
    endpoint::{Endpoint, at, endpoint},
};

/// All endpoints.
pub fn routes() -> Vec<Endpoint> {
    vec![
        // API standards
        endpoint(versions::get),
        // Creation
        endpoint(create_room::create),
        // Sending events to a room
        endpoint(room_send::send),
        // Room membership
        endpoint(membership::knock),
        endpoint(membership::invite),
        endpoint(membership::join_by_alias),
        endpoint(membership::join),
        endpoint(membership::forget),
        endpoint(membership::leave),
        endpoint(membership::kick),
        endpoint(membership::ban),
        endpoint(membership::unban),
        // Mutual rooms
        at(Method::GET, &[mutual_rooms::PATH], mutual_rooms::get),
        at(Method::GET, &[mutual_rooms::PROPOSED_PATH], mutual_rooms::get_proposed),
        at(Method::GET, &[mutual_rooms::UNSTABLE_PATH], mutual_rooms::get_unstable),
    ]
}

//! Every endpoint on one line, in the order of the specification's chapters.

use http::Method;

use crate::{
    client::{mutual_rooms, room_send, versions},
    endpoint::{Endpoint, at, endpoint},
};

/// All endpoints.
pub fn routes() -> Vec<Endpoint> {
    vec![
        // API standards
        endpoint(versions::get),
        // Sending events to a room
        endpoint(room_send::send),
        // Mutual rooms
        at(Method::GET, &[mutual_rooms::PATH], mutual_rooms::get),
        at(Method::GET, &[mutual_rooms::PROPOSED_PATH], mutual_rooms::get_proposed),
        at(Method::GET, &[mutual_rooms::UNSTABLE_PATH], mutual_rooms::get_unstable),
    ]
}

//! Every endpoint on one line, in the order of the specification's chapters.

use crate::{
    client::{room_send, versions},
    endpoint::{Endpoint, endpoint},
};

/// All endpoints.
pub fn routes() -> Vec<Endpoint> {
    vec![
        // API standards
        endpoint(versions::get),
        // Sending events to a room
        endpoint(room_send::send),
    ]
}

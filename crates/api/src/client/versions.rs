//! `GET /_matrix/client/versions`

use homeserver::{Answer, Home, who::Anyone};
use ruma::api::client::discovery::get_supported_versions as versions;

/// Versions of the specification that this server speaks.
const VERSIONS: [&str; 27] = [
    "r0.0.1", "r0.1.0", "r0.2.0", "r0.3.0", "r0.4.0", "r0.5.0", "r0.6.0", "r0.6.1", "v1.1", "v1.2", "v1.3",
    "v1.4", "v1.5", "v1.6", "v1.7", "v1.8", "v1.9", "v1.10", "v1.11", "v1.12", "v1.13", "v1.14", "v1.15",
    "v1.16", "v1.17", "v1.18", "v1.19",
];

/// Features outside of these versions that clients may use.
const UNSTABLE_FEATURES: [&str; 5] = [
    "org.matrix.msc4140",
    // What v1.16 has under its own name; matrix-js-sdk looks for it here.
    "uk.tcpip.msc4133",
    "uk.tcpip.msc4133.stable",
    "uk.half-shot.msc2666.query_mutual_rooms",
    "uk.half-shot.msc2666.query_mutual_rooms.stable",
];

/// `GET /_matrix/client/versions`: what this server speaks.
pub async fn get(_: Home, _: Anyone, _: versions::Request) -> Answer<versions::Response> {
    let mut response = versions::Response::new(VERSIONS.map(str::to_owned).to_vec());
    response.unstable_features = UNSTABLE_FEATURES.map(|feature| (feature.to_owned(), true)).into();
    Ok(response)
}

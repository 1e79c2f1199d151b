//! Protection against too many requests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Network;

/// `[limits]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Whether requests are limited per user and per client address; which ones and how is in the
    /// README. Sizes, connections and password hashes are always bounded.
    pub enabled: bool,
    /// Reverse proxies whose `X-Forwarded-For` is believed: addresses or networks
    /// ("10.0.0.0/8"). Everybody else is known by the address of the connection.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            trusted_proxies: vec![
                Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                Network::of(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ],
        }
    }
}

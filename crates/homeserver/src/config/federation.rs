//! Talking to others.

use serde::{Deserialize, Serialize};

/// `[federation]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Federation {
    /// Whether this server talks to others at all.
    pub enabled: bool,
    /// Whether other servers must show a valid certificate. Only tests turn this off.
    pub verify_tls: bool,
    /// Whether requests of this server may go to loopback and private addresses: other servers,
    /// identity servers, push gateways, application services. Only tests turn this on.
    pub allow_loopback: bool,
}

impl Default for Federation {
    fn default() -> Self {
        Self { enabled: true, verify_tls: true, allow_loopback: false }
    }
}

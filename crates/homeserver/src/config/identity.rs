//! Identity servers.

use serde::{Deserialize, Serialize};

/// `[identity]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Identity servers whose word about somebody's address is taken, and with which addresses are
    /// bound: host names, `["vector.im"]`. None: this server checks addresses itself. Whoever runs
    /// one can make a new password for every account that has an address, unless this server sends
    /// mail or text messages itself.
    pub trusted_servers: Vec<String>,
}

//! How much memory the server may take for what it could also read again.

use serde::{Deserialize, Serialize};

use super::Complaint;

/// Megabytes without which the server would read everything again and again.
const CACHES_MB_MIN: u64 = 16;

/// `[memory]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Memory {
    /// Megabytes that all caches together may take: events, states, memberships and counts that are
    /// kept at hand. What the server needs besides grows with its connections.
    pub caches_mb: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { caches_mb: 192 }
    }
}

impl Memory {
    /// So many hundredths of what the caches may take, in bytes.
    pub fn share(&self, percent: u64) -> u64 {
        self.caches_mb.saturating_mul(1024 * 1024 / 100).saturating_mul(percent)
    }

    pub(super) fn check(&self) -> Result<(), Complaint> {
        if self.caches_mb < CACHES_MB_MIN {
            return Err(Complaint::new("memory.caches_mb", format!("write {CACHES_MB_MIN} or more")));
        }
        Ok(())
    }
}

//! Sending text messages.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Complaint, Secret, must_be_url};

/// `[sms]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// Where a message is given to the service: a JSON object with `to` and `text` is sent there by
    /// POST. Unset: no text messages are sent.
    pub url: Option<String>,
    /// The bearer token that is shown there.
    pub token: Option<Secret>,
    /// A file that holds the token, instead of `token`.
    pub token_file: Option<PathBuf>,
}

impl Sms {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        must_be_url("sms.url", self.url.as_deref())
    }
}

//! What clients and other servers are told about this one.

use ruma::{OwnedServerName, OwnedUserId};
use serde::{Deserialize, Serialize};

use super::{Complaint, must_be_url};

/// `[well_known]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WellKnown {
    /// Where clients find this server: "https://matrix.example.org". Links in mails
    /// and on pages begin with it too. Unset: clients must be told.
    pub client: Option<String>,
    /// Where other servers find this server: "matrix.example.org:443". Unset: `server_name`.
    pub server: Option<OwnedServerName>,
    /// A page where people get help.
    pub support_page: Option<String>,
    /// Whom to ask for help: `[{ role = "m.role.admin", matrix_id = "@…", email_address = "…" }]`,
    /// of `matrix_id` and `email_address` at least one.
    pub contacts: Vec<Contact>,
}

/// Somebody to ask for help (`GET /.well-known/matrix/support`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// `m.role.admin`, `m.role.moderator`, `m.role.dpo` or `m.role.security`.
    pub role: String,
    /// Their Matrix user.
    #[serde(default)]
    pub matrix_id: Option<OwnedUserId>,
    /// Their e-mail address.
    #[serde(default)]
    pub email_address: Option<String>,
}

impl WellKnown {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        must_be_url("well_known.client", self.client.as_deref())?;
        must_be_url("well_known.support_page", self.support_page.as_deref())?;
        let incomplete = |c: &Contact| c.matrix_id.is_none() && c.email_address.is_none();
        if self.contacts.iter().any(incomplete) {
            let why = "a contact has neither matrix_id nor email_address, write one of them";
            return Err(Complaint::new("well_known.contacts", why));
        }
        Ok(())
    }
}

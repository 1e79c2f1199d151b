//! Sending mail.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Complaint, Secret};

/// `[email]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Email {
    /// The mail server (SMTP). Unset: no mail is sent.
    pub host: Option<String>,
    /// Its port. Unset: the usual one of `tls`.
    pub port: Option<u16>,
    /// How the connection is secured: "starttls" (port 587), "tls" (port 465) or "none" (port 25,
    /// for a mail server on the same machine).
    pub tls: SmtpTls,
    /// The user with whom this server logs in to it. Unset: it does not log in.
    pub user: Option<String>,
    /// The password of `user`.
    pub password: Option<Secret>,
    /// A file that holds the password, instead of `password`.
    pub password_file: Option<PathBuf>,
    /// Whom mails are from: "Example <matrix@example.org>".
    pub from: Option<String>,
    /// A folder of templates that are used instead of the built-in ones.
    pub templates: Option<PathBuf>,
}

/// How a connection to the mail server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// It begins in the clear and must become TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Email {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        if self.host.is_some() && self.from.is_none() {
            let why = "is missing: mail can not be sent without it, write \"Example <matrix@example.org>\"";
            return Err(Complaint::new("email.from", why));
        }
        Ok(())
    }
}

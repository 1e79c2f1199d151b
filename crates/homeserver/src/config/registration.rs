//! Who may make an account.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Complaint, Secret};

/// `[registration]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whether clients may make accounts. `hearth user create` and `shared_secret` always can.
    pub enabled: bool,
    /// What a client must do to make one, in this order: "token" (show a token from
    /// `hearth registration-token create`), "recaptcha" (solve the one of `[captcha]`), "oauth2"
    /// (log in at one of `oauth2.providers`), "email" (confirm a mail address, see `[email]`),
    /// "terms" (agree to `terms`). Nothing: everybody may, and may give an address if this server
    /// sends mail.
    pub require: Vec<Requirement>,
    /// What people agree to at sign-up if `require` has "terms":
    /// `[{ id = "privacy", version = "1", name = "Privacy policy", url = "https://…" }]`
    pub terms: Vec<Terms>,
    /// Whether guests, who have no password and expire, may look into rooms that let them.
    pub guests: bool,
    /// The key with which scripts make accounts over `/_synapse/admin/v1/register`, as with
    /// Synapse. Unset: that endpoint is closed.
    pub shared_secret: Option<Secret>,
    /// A file that holds the secret, instead of `shared_secret`.
    pub shared_secret_file: Option<PathBuf>,
}

/// One thing a client must do before it gets an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Requirement {
    /// `m.login.registration_token`
    Token,
    /// `m.login.recaptcha`
    Recaptcha,
    /// `m.login.oauth2`
    OAuth2,
    /// `m.login.email.identity`
    Email,
    /// `m.login.terms`
    Terms,
}

/// One document that people agree to at sign-up (`m.login.terms`).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Identifier of the document among the others, for example `privacy`.
    pub id: String,
    /// Which version of it is in force.
    pub version: String,
    /// The language of `name` and of the page, for example `en`.
    #[serde(default = "english")]
    pub language: String,
    /// Its title, for people.
    pub name: String,
    /// Where it can be read.
    pub url: String,
}

impl Registration {
    pub(super) fn check(&self) -> Result<(), Complaint> {
        if self.require.contains(&Requirement::Terms) && self.terms.is_empty() {
            return Err(Complaint::new(
                "registration.terms",
                "is missing: registration.require has \"terms\", write at least one document: \
                 [{ id = \"privacy\", version = \"1\", name = \"Privacy policy\", url = \"https://…\" }]",
            ));
        }
        Ok(())
    }
}

fn english() -> String {
    "en".to_owned()
}

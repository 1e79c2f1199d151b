//! The captcha that keeps programs from making accounts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Complaint, Registration, Requirement, Secret, must_be_url};

/// `[captcha]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Captcha {
    /// The key of this site that pages show, from the captcha's provider.
    pub site_key: Option<String>,
    /// The key with which this server asks the provider whether an answer is right.
    pub secret: Option<Secret>,
    /// A file that holds the secret, instead of `secret`.
    pub secret_file: Option<PathBuf>,
    /// Where the provider is asked.
    pub verify_url: String,
    /// The script that shows the captcha on the page.
    pub script_url: String,
}

impl Default for Captcha {
    fn default() -> Self {
        Self {
            site_key: None,
            secret: None,
            secret_file: None,
            verify_url: "https://www.google.com/recaptcha/api/siteverify".to_owned(),
            script_url: "https://www.google.com/recaptcha/api.js".to_owned(),
        }
    }
}

impl Captcha {
    pub(super) fn check(&self, registration: &Registration) -> Result<(), Complaint> {
        must_be_url("captcha.verify_url", Some(&self.verify_url))?;
        must_be_url("captcha.script_url", Some(&self.script_url))?;
        if !registration.require.contains(&Requirement::Recaptcha) {
            return Ok(());
        }
        for (key, missing) in
            [("captcha.site_key", self.site_key.is_none()), ("captcha.secret", self.secret.is_none())]
        {
            if missing {
                let why =
                    "is missing: registration.require has \"recaptcha\", write what its provider gave you";
                return Err(Complaint::new(key, why));
            }
        }
        Ok(())
    }
}

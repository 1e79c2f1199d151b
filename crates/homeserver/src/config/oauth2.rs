//! Services with whose accounts people can log in here.

use std::{collections::BTreeSet, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{Complaint, Registration, Requirement, Secret, must_be_url};

/// Bytes of the id of a provider: it is part of paths.
const ID_BYTES_MAX: usize = 64;

/// `[oauth2]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth2 {
    /// The services, in the order in which people see them:
    /// `[{ id = "example", name = "Example", client_id = "…", client_secret = "…",
    /// authorization_url = "https://…", token_url = "https://…", userinfo_url = "https://…",
    /// scopes = ["openid", "profile"] }]`. `client_secret_file` names a file that holds the secret;
    /// `subject_claim` ("sub") is what the service calls its account, `localpart_claim`
    /// ("preferred_username") what a new account is called here; `brand` is one of Matrix's names
    /// for well-known services. At the service, register the redirect URI
    /// `<well_known.client>/_hearth/oauth2/callback`.
    pub providers: Vec<Provider>,
}

/// One service with whose accounts people can log in here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Identifier of the service among the others, in paths: `a–z 0–9 . _ ~ -`. Accounts here are
    /// linked to accounts there by it, so it stays.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// `apple`, `facebook`, `github`, `gitlab`, `google`, `twitter` …
    #[serde(default)]
    pub brand: Option<String>,
    /// How the service knows this server.
    pub client_id: String,
    /// How this server proves to the service that it is it. Never printed.
    #[serde(default, skip_serializing)]
    pub client_secret: Option<Secret>,
    /// A file that holds the secret.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Where people are sent to log in.
    pub authorization_url: String,
    /// Where this server changes a code for an access token.
    pub token_url: String,
    /// Where this server learns who logged in.
    pub userinfo_url: String,
    /// What people are asked to let this server see.
    #[serde(default = "openid")]
    pub scopes: Vec<String>,
    /// The key of the userinfo that never changes for an account.
    #[serde(default = "sub")]
    pub subject_claim: String,
    /// The key of the userinfo that a new account is called by.
    #[serde(default = "preferred_username")]
    pub localpart_claim: String,
}

impl OAuth2 {
    /// The provider called `id`.
    pub fn provider(&self, id: &str) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    pub(super) fn check(&self, registration: &Registration) -> Result<(), Complaint> {
        let complain = |why: String| Err(Complaint::new("oauth2.providers", why));
        if registration.require.contains(&Requirement::OAuth2) && self.providers.is_empty() {
            return complain(
                "is missing: registration.require has \"oauth2\", write at least one".to_owned(),
            );
        }
        let mut ids = BTreeSet::new();
        for provider in &self.providers {
            let legal =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._~-".contains(&byte);
            if provider.id.is_empty() || provider.id.len() > ID_BYTES_MAX || !provider.id.bytes().all(legal) {
                return complain(format!("the id \"{}\" is no word of a–z 0–9 . _ ~ -", provider.id));
            }
            if !ids.insert(&provider.id) {
                return complain(format!("two of them have the id \"{}\", write another one", provider.id));
            }
            for url in [&provider.authorization_url, &provider.token_url, &provider.userinfo_url] {
                must_be_url("oauth2.providers", Some(url))?;
            }
        }
        Ok(())
    }
}

fn openid() -> Vec<String> {
    vec!["openid".to_owned()]
}

fn sub() -> String {
    "sub".to_owned()
}

fn preferred_username() -> String {
    "preferred_username".to_owned()
}

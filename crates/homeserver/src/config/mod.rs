//! Every setting of the server: one plain struct, one sub-struct per table of the TOML file, each in
//! a file of its own.
//!
//! The doc comments are the manual: `hearth config` prints them beside the value in force, taken
//! from [`SOURCE`], so there is no second text to keep in step. They are therefore written for the
//! person who runs the server. Every key has a default; an unknown key stops the start.
//! Reading files, and saying what is wrong on which line, is the program's part
//! (`hearth::config`); what the values mean together is decided here, in [`Config::check`].

mod captcha;
mod email;
mod federation;
mod identity;
mod limits;
mod listen;
mod log;
mod memory;
mod network;
mod oauth2;
mod push;
mod registration;
mod secret;
mod sms;
mod storage;
mod well_known;

use std::path::PathBuf;

use ruma::{OwnedServerName, RoomVersionId};
use serde::{Deserialize, Serialize};

pub use self::{
    captcha::Captcha,
    email::{Email, SmtpTls},
    federation::Federation,
    identity::Identity,
    limits::Limits,
    listen::Listen,
    log::{Log, LogFormat},
    memory::Memory,
    network::Network,
    oauth2::{OAuth2, Provider},
    push::{Place, Push},
    registration::{Registration, Requirement, Terms},
    secret::Secret,
    sms::Sms,
    storage::{Database, Media},
    well_known::{Contact, WellKnown},
};

/// The files of this folder that have a table: the manual that `hearth config` prints is read from
/// their doc comments.
pub const SOURCE: &str = concat!(
    include_str!("mod.rs"),
    include_str!("listen.rs"),
    include_str!("storage.rs"),
    include_str!("registration.rs"),
    include_str!("captcha.rs"),
    include_str!("oauth2.rs"),
    include_str!("identity.rs"),
    include_str!("email.rs"),
    include_str!("sms.rs"),
    include_str!("push.rs"),
    include_str!("federation.rs"),
    include_str!("limits.rs"),
    include_str!("memory.rs"),
    include_str!("log.rs"),
    include_str!("well_known.rs"),
);

/// What an operator can set. `Config::default()` is a working server on localhost.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name at the end of every user id of this server: `@alice:example.org`.
    /// It can not be changed once the first user exists.
    pub server_name: OwnedServerName,
    /// Where the database, the media and the signing key live, unless set below.
    pub data_dir: PathBuf,
    /// The version of rooms whose creator asks for none: "6" to "12".
    pub default_room_version: RoomVersionId,
    /// Registration files (YAML) of bridges and other application services. Not read by this
    /// version.
    pub appservices: Vec<PathBuf>,
    /// Where the server listens.
    pub listen: Listen,
    /// Where rooms, accounts and everything else is remembered.
    pub database: Database,
    /// Uploaded files. This version takes none.
    pub media: Media,
    /// Who may make an account.
    pub registration: Registration,
    /// The captcha of `registration.require = ["recaptcha"]`: Google's reCAPTCHA, or a service
    /// that answers as it does.
    pub captcha: Captcha,
    /// Other services with whose accounts people can log in here, and prove who they are.
    pub oauth2: OAuth2,
    /// Identity servers, which know addresses of people.
    pub identity: Identity,
    /// The mail server through which this one sends mail. Without one it sends none.
    pub email: Email,
    /// The service through which this server sends text messages. Without one it sends none.
    pub sms: Sms,
    /// Which push gateways notifications may be sent to.
    pub push: Push,
    /// Talking to other servers. This version does not.
    pub federation: Federation,
    /// Protection against too many requests.
    pub limits: Limits,
    /// How much memory the server may take for what it could also read again.
    pub memory: Memory,
    /// What the server writes about its work, on standard error.
    pub log: Log,
    /// What `/.well-known/matrix/…` tells clients and other servers about this one.
    pub well_known: WellKnown,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: localhost(),
            data_dir: PathBuf::from("data"),
            default_room_version: RoomVersionId::V12,
            appservices: Vec::new(),
            listen: Listen::default(),
            database: Database::default(),
            media: Media::default(),
            registration: Registration::default(),
            captcha: Captcha::default(),
            oauth2: OAuth2::default(),
            identity: Identity::default(),
            email: Email::default(),
            sms: Sms::default(),
            push: Push::default(),
            federation: Federation::default(),
            limits: Limits::default(),
            memory: Memory::default(),
            log: Log::default(),
            well_known: WellKnown::default(),
        }
    }
}

impl Config {
    /// The database to open: `sqlite:…` or `postgres://…`. May hold a password: never logged.
    pub fn database_url(&self) -> String {
        match &self.database.url {
            Some(url) => url.reveal().to_owned(),
            None => format!("sqlite:{}", self.data_dir.join("hearth.db").display()),
        }
    }

    /// The folder of uploaded files.
    pub fn media_path(&self) -> PathBuf {
        let unset = || self.data_dir.join("media");
        self.media.path.clone().unwrap_or_else(unset)
    }

    /// The file of the key with which this server signs.
    pub fn signing_key_path(&self) -> PathBuf {
        self.data_dir.join("signing.key")
    }

    /// Where browsers reach this server, without a slash at the end: links in mails, pages and
    /// redirects begin with it.
    pub fn public_url(&self) -> String {
        match &self.well_known.client {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen.client),
        }
    }

    /// What is wrong with these settings although each of them can be read. The first complaint
    /// names the key (`table.key`) and says what to write instead.
    pub fn check(&self) -> Result<(), Complaint> {
        if !rules::versions::SUPPORTED.contains(&self.default_room_version) {
            let version = &self.default_room_version;
            return Err(Complaint::new(
                "default_room_version",
                format!("there is no room version \"{version}\" here, write one of \"6\" to \"12\""),
            ));
        }
        self.database.check()?;
        self.listen.check()?;
        self.registration.check()?;
        self.captcha.check(&self.registration)?;
        self.oauth2.check(&self.registration)?;
        self.email.check(&self.registration, &self.identity)?;
        self.sms.check()?;
        self.memory.check()?;
        self.well_known.check()
    }
}

/// Refuses a value that is no URL of a web page.
fn must_be_url(key: &'static str, value: Option<&str>) -> Result<(), Complaint> {
    match value {
        Some(url) if !url.starts_with("https://") && !url.starts_with("http://") => {
            Err(Complaint::new(key, format!("\"{url}\" is no URL, write \"https://…\"")))
        }
        _ => Ok(()),
    }
}

/// A setting that can be read but not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Complaint {
    /// The key, with its table: `registration.require`.
    pub key: &'static str,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}

impl Complaint {
    fn new(key: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { key, why }
    }
}

fn localhost() -> OwnedServerName {
    ruma::server_name!("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(Config::default().database_url(), "sqlite:data/hearth.db");
    }
}

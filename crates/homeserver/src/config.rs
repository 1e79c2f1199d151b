//! Every setting of the server: one plain struct, one sub-struct per table of the TOML file.
//!
//! The doc comments are the manual: `hearth config` prints them beside the value in force, taken
//! from [`SOURCE`], so there is no second text to keep in step. They are therefore written for the
//! person who runs the server. Every key has a default; an unknown key stops the start.
//! Reading files, and saying what is wrong on which line, is the program's part
//! (`hearth::config`); what the values mean together is decided here, in [`Config::check`].

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use ruma::{OwnedServerName, OwnedUserId, RoomVersionId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// This file: the manual that `hearth config` prints is read from the doc comments below.
pub const SOURCE: &str = include_str!("config.rs");

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
    /// Talking to other servers. This version does not.
    pub federation: Federation,
    /// Protection against too many requests.
    pub limits: Limits,
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
            federation: Federation::default(),
            limits: Limits::default(),
            log: Log::default(),
            well_known: WellKnown::default(),
        }
    }
}

/// `[listen]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address for plain HTTP, everything. A reverse proxy in front terminates TLS. Port 0 takes
    /// a free port and prints it.
    pub client: SocketAddr,
    /// Address for TLS, usually "0.0.0.0:8448". Needs the two keys that follow. Not served by this
    /// version.
    pub federation_tls: Option<SocketAddr>,
    /// The certificate chain of `federation_tls`, PEM.
    pub tls_certificate: Option<PathBuf>,
    /// The private key of `tls_certificate`, PEM.
    pub tls_private_key: Option<PathBuf>,
    /// Address for `/metrics` (Prometheus) and `/health`, for example "127.0.0.1:9008". Not
    /// served unless set, and not meant for the public.
    pub metrics: Option<SocketAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            client: SocketAddr::from((Ipv4Addr::LOCALHOST, 8008)),
            federation_tls: None,
            tls_certificate: None,
            tls_private_key: None,
            metrics: None,
        }
    }
}

/// `[database]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// "sqlite:PATH" or "postgres://USER:PASSWORD@HOST/NAME". Unset: `hearth.db` in `data_dir`.
    /// A PostgreSQL database must have been created with the collation "C".
    pub url: Option<Secret>,
    /// A file that holds the url, instead of `url`.
    pub url_file: Option<PathBuf>,
}

/// `[media]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// The folder of uploaded files. Unset: `media` in `data_dir`.
    pub path: Option<PathBuf>,
}

/// `[registration]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Whether clients may make accounts. `hearth user create` and `shared_secret` always can.
    pub enabled: bool,
    /// What a client must do to make one, in this order: "token" (show a token from
    /// `hearth registration-token create`), "terms" (agree to `terms`). Nothing: everybody may.
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

/// `[limits]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Whether requests are limited per user and per client address; which ones and how is in the
    /// README. Sizes, connections and password hashes are always bounded.
    pub enabled: bool,
    /// Reverse proxies whose `X-Forwarded-For` is believed: addresses or networks
    /// ("10.0.0.0/8"). Everybody else is known by the address of the connection.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            enabled: true,
            trusted_proxies: vec![
                Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                Network::of(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ],
        }
    }
}

/// `[log]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// "error", "warn", "info", "debug" or "trace"; for one part only: "info,store=debug".
    pub level: String,
    /// "text" for people, "json" for machines (one object per line).
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// `[well_known]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WellKnown {
    /// Where clients find this server: "https://matrix.example.org". Unset: clients must be told.
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

    /// What is wrong with these settings although each of them can be read. The first complaint
    /// names the key (`table.key`) and says what to write instead.
    pub fn check(&self) -> Result<(), Complaint> {
        self.check_rooms_and_database()?;
        self.check_listen()?;
        self.check_registration()?;
        self.check_well_known()
    }

    fn check_rooms_and_database(&self) -> Result<(), Complaint> {
        if !rules::versions::SUPPORTED.contains(&self.default_room_version) {
            let version = &self.default_room_version;
            return Err(Complaint::new(
                "default_room_version",
                format!("there is no room version \"{version}\" here, write one of \"6\" to \"12\""),
            ));
        }
        if let Some(url) = &self.database.url
            && !["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.reveal().starts_with(scheme))
        {
            return Err(Complaint::new(
                "database.url",
                "write \"sqlite:PATH\" or \"postgres://USER:PASSWORD@HOST/NAME\"",
            ));
        }
        Ok(())
    }

    fn check_listen(&self) -> Result<(), Complaint> {
        let listen = &self.listen;
        if listen.federation_tls.is_none() {
            return Ok(());
        }
        for (key, file) in [
            ("listen.tls_certificate", &listen.tls_certificate),
            ("listen.tls_private_key", &listen.tls_private_key),
        ] {
            if file.is_none() {
                let why = "is missing: listen.federation_tls needs it, write the path of a PEM file";
                return Err(Complaint::new(key, why));
            }
        }
        Ok(())
    }

    fn check_registration(&self) -> Result<(), Complaint> {
        let registration = &self.registration;
        for unknown in [Requirement::Recaptcha, Requirement::Email] {
            if registration.require.contains(&unknown) {
                return Err(Complaint::new(
                    "registration.require",
                    "this version of hearth knows \"token\" and \"terms\", write these",
                ));
            }
        }
        if registration.require.contains(&Requirement::Terms) && registration.terms.is_empty() {
            return Err(Complaint::new(
                "registration.terms",
                "is missing: registration.require has \"terms\", write at least one document: \
                 [{ id = \"privacy\", version = \"1\", name = \"Privacy policy\", url = \"https://…\" }]",
            ));
        }
        Ok(())
    }

    fn check_well_known(&self) -> Result<(), Complaint> {
        for (key, value) in [
            ("well_known.client", &self.well_known.client),
            ("well_known.support_page", &self.well_known.support_page),
        ] {
            if let Some(url) = value
                && !url.starts_with("https://")
                && !url.starts_with("http://")
            {
                let why = format!("\"{url}\" is no URL, write \"https://…\"");
                return Err(Complaint::new(key, why));
            }
        }
        let incomplete = |c: &Contact| c.matrix_id.is_none() && c.email_address.is_none();
        if self.well_known.contacts.iter().any(incomplete) {
            let why = "a contact has neither matrix_id nor email_address, write one of them";
            return Err(Complaint::new("well_known.contacts", why));
        }
        Ok(())
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

/// A text that is shown to nobody: printed, it is a row of stars.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` from being printed.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first line of the file at `path`, without the white space around it.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        Ok(Self::new(text.lines().next().unwrap_or_default().trim()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("********")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// The range of one address.
    pub fn of(address: IpAddr) -> Self {
        Self { address, prefix_bits: bits_max(address) }
    }

    /// Whether `address` is in the range. An IPv4 address that is written as an IPv6 one
    /// (`::ffff:10.0.0.1`) counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs) = (self.address.to_canonical(), address.to_canonical());
        if ours.is_ipv4() != theirs.is_ipv4() {
            return false;
        }
        let differing = number(ours) ^ number(theirs);
        let host_bits = u32::from(bits_max(ours) - self.prefix_bits);
        differing.checked_shr(host_bits).unwrap_or(0) == 0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix_bits == bits_max(self.address) {
            return write!(f, "{}", self.address);
        }
        write!(f, "{}/{}", self.address, self.prefix_bits)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no address or network like \"10.0.0.0/8\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let network = Self::of(address.parse().map_err(|_| wrong())?);
        let Some(prefix) = prefix else {
            return Ok(network);
        };
        let prefix_bits: u8 = prefix.parse().map_err(|_| wrong())?;
        if prefix_bits > network.prefix_bits {
            return Err(wrong());
        }
        Ok(Self { prefix_bits, ..network })
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

fn bits_max(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn localhost() -> OwnedServerName {
    ruma::server_name!("localhost").to_owned()
}

fn english() -> String {
    "en".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(Config::default().database_url(), "sqlite:data/hearth.db");
    }

    #[test]
    fn a_network_contains_its_addresses_only() {
        for (network, address, contains) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("::/0", "2001:db8::1", true),
            ("::1", "::2", false),
        ] {
            let range: Network = network.parse().expect("the network is legal");
            let address = address.parse().expect("the address is legal");
            assert_eq!(range.contains(address), contains, "{network} {address}");
        }
        for wrong in ["", "localhost", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "1/2/3"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "********");
        assert_eq!(secret.reveal(), "hunter2");
    }
}

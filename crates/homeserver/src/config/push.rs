//! Push gateways.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::Network;

/// `[push]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Push {
    /// Push gateways inside your network, which clients could not name otherwise: names of hosts
    /// ("sygnal"), addresses ("127.0.0.1") or networks ("10.0.0.0/8"). To those that are listed
    /// by name or by their own address, notifications may also go without TLS ("http://…").
    pub allowed_gateways: Vec<Place>,
}

/// A host, by its name or by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name, in lower case.
    Name(String),
    /// An address, or all of a network.
    Network(Network),
}

impl Place {
    /// Whether it is the host that a URL names by `host`.
    pub fn is_named(&self, host: &str) -> bool {
        match self {
            Place::Name(name) => host.eq_ignore_ascii_case(name),
            Place::Network(_) => self.contains_literal(host),
        }
    }

    fn contains_literal(&self, host: &str) -> bool {
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        literal.is_ok_and(|address| self.contains(address))
    }

    /// Whether `address` is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        matches!(self, Place::Network(network) if network.contains(address))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Name(name) => f.write_str(name),
            Place::Network(network) => network.fmt(f),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(network) = text.parse() {
            return Ok(Place::Network(network));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if numeric || !text.bytes().all(plain) {
            return Err(format!("\"{text}\" is no name of a host, address or network like \"10.0.0.0/8\""));
        }
        Ok(Place::Name(text.to_ascii_lowercase()))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_an_address_or_a_network() {
        for (place, host, is_named) in [
            ("sygnal", "sygnal", true),
            ("Push.Example.org", "push.example.org", true),
            ("example.org", "push.example.org", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "localhost", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("::1", "[::1]", true),
        ] {
            let parsed: Place = place.parse().expect("a place");
            assert_eq!(parsed.is_named(host), is_named, "{place} {host}");
            assert_eq!(parsed.to_string(), place.to_ascii_lowercase());
        }
        for wrong in ["", "http://sygnal", "sygnal:5000", "10.0.0.0/33", "1.2.3", "a b"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}

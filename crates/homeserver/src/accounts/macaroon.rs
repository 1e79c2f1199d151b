//! Macaroons: tokens that say under which conditions they are good, and to which whoever holds one can
//! add further conditions, but take none away (Birgisson et al., NDSS 2014).
//!
//! The signature is a chain of HMAC-SHA256 over the identifier and each condition, a *caveat*. Written
//! in the binary format of version 2, in base64url. Third parties have no caveats here.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Characters of a macaroon that is looked at.
pub const CHARACTERS_MAX: usize = 4_096;

/// Caveats of a macaroon that is looked at.
const CAVEATS_MAX: usize = 32;

const VERSION: u8 = 2;
const END: u64 = 0;
const LOCATION: u64 = 1;
const IDENTIFIER: u64 = 2;
const SIGNATURE: u64 = 6;

/// What the root key is hashed with, in every implementation.
const GENERATOR: &[u8] = b"macaroons-key-generator";

/// A macaroon. Nothing in it is true before [`is_signed_with`](Macaroon::is_signed_with).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macaroon {
    /// Where it is good, a hint for whoever has several.
    pub location: String,
    /// Which key it is signed with.
    pub identifier: Vec<u8>,
    /// Its conditions.
    pub caveats: Vec<Vec<u8>>,
    signature: [u8; 32],
}

impl Macaroon {
    /// A macaroon without conditions, signed with `key`.
    pub fn new(key: &[u8], location: &str, identifier: &[u8]) -> Self {
        let signature = chain(&chain(GENERATOR, key), identifier);
        let location = location.to_owned();
        Macaroon { location, identifier: identifier.to_vec(), caveats: Vec::new(), signature }
    }

    /// The same with a further condition.
    #[must_use]
    pub fn with(mut self, caveat: &str) -> Self {
        self.signature = chain(&self.signature, caveat.as_bytes());
        self.caveats.push(caveat.as_bytes().to_vec());
        self
    }

    /// Whether it was made with `key`, and nothing but conditions was added. Takes as long for every
    /// wrong signature.
    pub fn is_signed_with(&self, key: &[u8]) -> bool {
        let mut before = chain(&chain(GENERATOR, key), &self.identifier);
        let Some((last, others)) = self.caveats.split_last() else {
            return mac(&chain(GENERATOR, key), &self.identifier).verify_slice(&self.signature).is_ok();
        };
        for caveat in others {
            before = chain(&before, caveat);
        }
        mac(&before, last).verify_slice(&self.signature).is_ok()
    }

    /// As text.
    pub fn to_text(&self) -> String {
        let mut bytes = vec![VERSION];
        let mut field = |kind: u64, data: &[u8]| {
            varint(&mut bytes, kind);
            if kind != END {
                varint(&mut bytes, data.len() as u64);
                bytes.extend_from_slice(data);
            }
        };
        if !self.location.is_empty() {
            field(LOCATION, self.location.as_bytes());
        }
        field(IDENTIFIER, &self.identifier);
        field(END, &[]);
        for caveat in &self.caveats {
            field(IDENTIFIER, caveat);
            field(END, &[]);
        }
        field(END, &[]);
        field(SIGNATURE, &self.signature);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The macaroon that `text` is; `None` if it is none that could be ours.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.len() > CHARACTERS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let mut rest = Fields(bytes.strip_prefix(&[VERSION])?);
        let (mut kind, mut data) = rest.next()?;
        let mut location = String::new();
        if kind == LOCATION {
            location = std::str::from_utf8(data).ok()?.to_owned();
            (kind, data) = rest.next()?;
        }
        if kind != IDENTIFIER || rest.next()?.0 != END {
            return None;
        }
        let identifier = data.to_vec();
        let mut caveats = Vec::new();
        loop {
            match rest.next()? {
                (END, _) => break,
                (IDENTIFIER, caveat) if caveats.len() < CAVEATS_MAX => caveats.push(caveat.to_vec()),
                _ => return None,
            }
            if rest.next()?.0 != END {
                return None;
            }
        }
        let (kind, signature) = rest.next()?;
        if kind != SIGNATURE || !rest.0.is_empty() {
            return None;
        }
        Some(Macaroon { location, identifier, caveats, signature: signature.try_into().ok()? })
    }
}

/// The fields that are left to read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<(u64, &'a [u8])> {
        let kind = self.varint()?;
        if kind == END {
            return Some((END, &[]));
        }
        let length = usize::try_from(self.varint()?).ok()?;
        let (data, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some((kind, data))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in [0, 7, 14, 21] {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The lowest seven bits, and that there are more.
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn mac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    mac.update(data);
    mac
}

fn chain(key: &[u8], data: &[u8]) -> [u8; 32] {
    mac(key, data).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"this is our super secret key; only we should know it";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The example of libmacaroons' README, which other implementations repeat.
    fn example() -> Macaroon {
        Macaroon::new(KEY, "http://mybank/", b"we used our secret key")
    }

    #[test]
    fn signatures_are_those_of_other_implementations() {
        let plain = example();
        assert_eq!(hex(&plain.signature), "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f");
        let bound = plain.with("test = caveat");
        assert_eq!(hex(&bound.signature), "197bac7a044af33332865b9266e26d493bdd668a660e44d88ce1a998c23dbd67");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let long = "x".repeat(300);
        for macaroon in [example(), example().with("a = b"), example().with("").with(&long)] {
            let text = macaroon.to_text();
            let read = Macaroon::from_text(&text).expect("it is a macaroon");
            assert_eq!(read, macaroon);
            assert!(read.is_signed_with(KEY));
            assert!(!read.is_signed_with(b"another key"));
            assert_eq!(Macaroon::from_text(&format!("{text}=")), Some(macaroon));
        }
    }

    #[test]
    fn conditions_are_added_and_never_taken_away() {
        let bound = example().with("user = alice").with("time < 5");
        assert!(bound.clone().with("time < 4").is_signed_with(KEY));
        for change in 0..4 {
            let mut changed = bound.clone();
            match change {
                0 => drop(changed.caveats.pop()),
                1 => changed.caveats.swap(0, 1),
                2 => changed.caveats[1] = b"time < 6".to_vec(),
                _ => changed.identifier.push(b'!'),
            }
            assert!(!changed.is_signed_with(KEY), "{change}");
        }
    }

    #[test]
    fn what_is_no_macaroon_is_none() {
        let good = URL_SAFE_NO_PAD.decode(example().with("a = b").to_text()).expect("base64");
        for length in 0..good.len() {
            assert_eq!(Macaroon::from_text(&URL_SAFE_NO_PAD.encode(&good[..length])), None, "{length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                let read = Macaroon::from_text(&URL_SAFE_NO_PAD.encode(&changed));
                // The location is a hint, which nobody signs.
                let signed = read.filter(|read| read.location == "http://mybank/");
                assert!(!signed.is_some_and(|read| read.is_signed_with(KEY)), "{at} {bit}");
            }
        }
        let mut long = good.clone();
        long.push(0);
        assert_eq!(Macaroon::from_text(&URL_SAFE_NO_PAD.encode(&long)), None);
        let mut many = example();
        many.caveats = vec![Vec::new(); CAVEATS_MAX + 1];
        assert_eq!(Macaroon::from_text(&many.to_text()), None);
        for wrong in ["", "!", "AAAA", "Ag", &"A".repeat(CHARACTERS_MAX + 1), "AgH_____"] {
            assert_eq!(Macaroon::from_text(wrong), None, "{wrong}");
        }
    }
}

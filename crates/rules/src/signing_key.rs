//! The server's signing key.

use std::fmt;

use ruma::{
    CanonicalJsonObject, OwnedServerSigningKeyId, ServerName, ServerSigningKeyId,
    serde::{Base64, base64::Standard},
    signatures::{Ed25519KeyPair, KeyPair},
};

use crate::Refused;

/// An ed25519 key with its name, as Synapse keeps it: `ed25519 a_abcd <base64 of the 32 byte seed>`.
///
/// Deliberately neither `Clone` nor printable: it is in one place and never in a log.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    key_id: OwnedServerSigningKeyId,
    seed: [u8; SEED_BYTES],
}

/// The length of the secret.
pub const SEED_BYTES: usize = 32;

/// A PKCS#8 document of an ed25519 key is this and the seed; it is the form ruma takes.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

impl SigningKey {
    /// A key from 32 random bytes, named `ed25519:<version>`.
    ///
    /// # Errors
    /// [`Refused::Signature`] if `version` has other characters than `[a-zA-Z0-9_]` or none.
    pub fn from_seed(seed: [u8; SEED_BYTES], version: &str) -> Result<Self, Refused> {
        if version.is_empty() || !version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(Refused::Signature(format!("{version:?} is no name for a signing key")));
        }
        let key_id = ServerSigningKeyId::parse(format!("ed25519:{version}"))
            .map_err(|error| Refused::Signature(error.to_string()))?;
        let document = [&PKCS8_PREFIX[..], &seed[..]].concat();
        let pair = Ed25519KeyPair::from_der(&document, version.to_owned())
            .map_err(|error| Refused::Signature(error.to_string()))?;
        Ok(Self { pair, key_id, seed })
    }

    /// Reads the first line of a Synapse signing key file.
    ///
    /// # Errors
    /// [`Refused::Signature`] if it is not `ed25519 <name> <base64 of 32 bytes>`.
    pub fn from_file(text: &str) -> Result<Self, Refused> {
        let mut words = text.lines().next().unwrap_or_default().split_ascii_whitespace();
        let (Some("ed25519"), Some(version), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(Refused::Signature("not «ed25519 <name> <base64 seed>»".to_owned()));
        };
        let seed = Base64::<Standard>::parse(seed).map_err(|error| Refused::Signature(error.to_string()))?;
        let seed = seed
            .as_bytes()
            .try_into()
            .map_err(|_| Refused::Signature(format!("a signing key seed has {SEED_BYTES} bytes")))?;
        Self::from_seed(seed, version)
    }

    /// The key as the line that [`SigningKey::from_file`] reads, with its line end. Secret.
    pub fn to_file(&self) -> String {
        format!("ed25519 {} {}\n", self.version(), Base64::<Standard, _>::new(&self.seed[..]).encode())
    }

    /// `ed25519:<version>`.
    pub fn key_id(&self) -> &ServerSigningKeyId {
        &self.key_id
    }

    /// The part of the key id after the colon.
    pub fn version(&self) -> &str {
        self.pair.version()
    }

    /// The public half in unpadded base64, as servers publish it.
    pub fn public_key(&self) -> String {
        Base64::<Standard, _>::new(self.pair.public_key()).encode()
    }

    /// A secret for one purpose, the same after every start and on every node. `purpose` is a constant:
    /// what it is for, in words that nothing else uses.
    pub fn derive(&self, purpose: &'static str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.seed)
    }

    /// The signature of `message` in unpadded base64.
    pub fn sign(&self, message: &[u8]) -> String {
        self.pair.sign(message).base64()
    }

    /// Signs a JSON object that is not an event (server keys, a federation request), in place.
    ///
    /// # Errors
    /// [`Refused::BadJson`] if `signatures` is there and not an object.
    pub fn sign_json(&self, server: &ServerName, object: &mut CanonicalJsonObject) -> Result<(), Refused> {
        ruma::signatures::sign_json(server.as_str(), &self.pair, object)
            .map_err(|error| Refused::BadJson(error.to_string()))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id)
    }
}

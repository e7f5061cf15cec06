//! Signatures of records, and the keys that make and check them.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hash::{Digest, Encoder, hex};

/// The prefix of public keys, so that no other number is mistaken for one.
const PUBLIC_KEY_PREFIX: &str = "ed25519:";
/// The prefix of secret keys.
const SECRET_KEY_PREFIX: &str = "ed25519-secret:";

/// A key that checks signatures; as text, `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A key that signs records.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// The text is not a key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} key (`{prefix}` and 64 hexadecimal digits)")]
pub struct NotAKey {
    kind: &'static str,
    prefix: &'static str,
}

/// The signature of a record in hexadecimal digits, and the key that made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub key: PublicKey,
    signature: String,
}

impl Signature {
    /// The signature of a record, which may have another one.
    pub(super) fn of(record: &Value, key: &SecretKey) -> Self {
        let signature = key.0.sign(message(record).as_bytes());
        Self {
            key: key.public(),
            signature: hex(&signature.to_bytes()),
        }
    }

    /// Whether it is a valid signature of this record.
    pub(super) fn is_valid_for(&self, record: &Value) -> bool {
        let bytes = parse_hex::<64>(&self.signature).map(|bytes| ed25519_dalek::Signature::from_bytes(&bytes));
        let key = VerifyingKey::from_bytes(&self.key.0).ok();
        let (Some(signature), Some(key)) = (bytes, key) else { return false };
        key.verify_strict(message(record).as_bytes(), &signature).is_ok()
    }
}

/// The signed message: the digest of the record's canonical encoding, after a text that marks it as a record.
fn message(record: &Value) -> Digest {
    let mut record = record.clone();
    if let Value::Object(fields) = &mut record {
        fields.remove("signature");
    }
    let mut encoder = Encoder::default();
    encoder.text("a record of runner");
    encoder.value(&record);
    encoder.digest()
}

impl SecretKey {
    /// From 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The key that checks its signatures.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// The text for a file. (There is no `Display`, so that the key is not printed by mistake.)
    pub fn to_text(&self) -> String {
        format!("{SECRET_KEY_PREFIX}{}\n", hex(&self.0.to_bytes()))
    }
}

impl FromStr for SecretKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = text.trim().strip_prefix(SECRET_KEY_PREFIX).and_then(parse_hex::<32>);
        bytes.map(|bytes| Self::from_seed(&bytes)).ok_or(NotAKey {
            kind: "secret",
            prefix: SECRET_KEY_PREFIX,
        })
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.strip_prefix(PUBLIC_KEY_PREFIX)
            .and_then(parse_hex::<32>)
            .map(Self)
            .ok_or(NotAKey {
                kind: "public",
                prefix: PUBLIC_KEY_PREFIX,
            })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_KEY_PREFIX}{}", hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the secret of {}", self.public())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Parses `2 * N` hexadecimal digits.
fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

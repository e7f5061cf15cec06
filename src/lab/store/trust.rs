//! Trust in records: each may be signed (ed25519), and the settings name the trusted keys.
//!
//! The signature is over the digest of the canonical encoding of the whole record except the signature: fingerprint, outputs, provenance
//! and the fields of later versions. It certifies that this stage gave these outputs, and only the holder of the key can make it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use serde_json::Value;

use super::Store;
use super::signature::{PublicKey, Signature};
use crate::hash::Digest;

/// The rules for which records of a store are used.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The keys whose records are used if a signature is required.
    pub trusted: BTreeSet<PublicKey>,
    /// Whether a record without a trusted signature is ignored.
    pub required: bool,
    /// The records that were ignored, with the reason.
    ignored: Arc<Mutex<BTreeMap<Digest, Distrust>>>,
}

/// Why a record is ignored: its stage counts as never run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// It has no signature.
    #[error("it is not signed")]
    Unsigned,
    /// The settings do not trust its key.
    #[error("it is signed by {0}, which is not trusted")]
    Foreign(PublicKey),
    /// The signature does not belong to this record, which was changed or forged.
    #[error("its signature by {0} is invalid: the record was changed after it was signed")]
    Forged(PublicKey),
    /// It cannot be parsed. The next record of the stage replaces it.
    #[error("it is damaged ({0})")]
    Damaged(String),
}

impl Trust {
    /// Trusts these keys. If `required`, records without their signature are ignored.
    pub fn new(trusted: impl IntoIterator<Item = PublicKey>, required: bool) -> Self {
        Self {
            trusted: trusted.into_iter().collect(),
            required,
            ignored: Arc::default(),
        }
    }

    /// Checks whether a record, as it is stored, may be used. An existing signature must be valid, required or not.
    ///
    /// # Errors
    /// If the record must be ignored.
    pub fn check(&self, record: &Value) -> Result<(), Distrust> {
        let signature = record.get("signature").filter(|signature| !signature.is_null());
        let Some(signature) = signature.and_then(|signature| Signature::deserialize(signature).ok()) else {
            return if self.required { Err(Distrust::Unsigned) } else { Ok(()) };
        };
        let key = signature.key;
        if !signature.is_valid_for(record) {
            Err(Distrust::Forged(key))
        } else if self.required && !self.trusted.contains(&key) {
            Err(Distrust::Foreign(key))
        } else {
            Ok(())
        }
    }
}

impl Store {
    /// This store with rules for which records are used.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// The rules.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The records that were ignored so far, by key.
    pub fn ignored(&self) -> BTreeMap<Digest, Distrust> {
        self.trust
            .ignored
            .lock()
            .map_or_else(|_| BTreeMap::new(), |ignored| ignored.clone())
    }

    /// Whether a record of this store may be used. If not, the reason is remembered.
    pub(super) fn trusts(&self, key: &Digest, bytes: &[u8]) -> bool {
        let Ok(value) = serde_json::from_slice::<Value>(bytes) else {
            return false;
        };
        let Err(distrust) = self.trust.check(&value) else { return true };
        self.ignore(key, distrust);
        false
    }

    /// Remembers that a record is ignored, and why.
    pub(super) fn ignore(&self, key: &Digest, why: Distrust) {
        if let Ok(mut ignored) = self.trust.ignored.lock() {
            ignored.insert(*key, why);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Record, SecretKey};
    use super::*;
    use crate::store::{Provenance, tests};

    fn record() -> Record {
        let mut record = tests::record(json!({"rate": 0.1, "tiny": 3e-3, "mode": "new"}));
        record.seconds = 0.123_456_789_012_345_67;
        record.provenance = Provenance {
            cpu_seconds: Some(1.0 / 3.0),
            ..Provenance::default()
        };
        record
    }

    fn signed(seed: u8) -> (SecretKey, Value) {
        let key = SecretKey::from_seed(&[seed; 32]);
        let mut record = record();
        record.sign(&key);
        // As it is read from a file.
        (key, serde_json::from_slice(&serde_json::to_vec(&record).unwrap()).unwrap())
    }

    #[test]
    fn keys_are_parsed_from_their_texts() {
        // RFC 8032, 7.1, test 1.
        let secret = "ed25519-secret:9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n";
        let key: SecretKey = secret.parse().unwrap();
        assert_eq!(key.to_text(), secret);
        let public = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(key.public().to_string(), public);
        assert_eq!(public.parse(), Ok(key.public()));
        for wrong in [
            "",
            "ed25519:",
            &public[..70],
            "d75a",
            secret.trim(),
            &public.replace("d75a", "+75a"),
        ] {
            assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
        }
        assert!(!format!("{key:?}").contains("9d61"), "a secret is never printed");
    }

    #[test]
    fn only_trusted_signatures_count_if_one_is_required() {
        let ((key, record), (other, foreign)) = (signed(1), signed(2));
        let trust = Trust::new([key.public()], true);
        assert_eq!(trust.check(&record), Ok(()));
        assert_eq!(trust.check(&foreign), Err(Distrust::Foreign(other.public())));
        let mut unsigned = record.clone();
        unsigned.as_object_mut().unwrap().remove("signature");
        assert_eq!(trust.check(&unsigned), Err(Distrust::Unsigned));
        for record in [record, foreign, unsigned] {
            assert_eq!(Trust::default().check(&record), Ok(()));
        }
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let (key, record) = signed(1);
        let trust = Trust::new([key.public()], true);
        let forged = Err(Distrust::Forged(key.public()));
        for (path, value) in [
            ("/fingerprint/params/rate", json!(0.100_000_000_000_000_02)),
            ("/fingerprint/kind", json!("filter")),
            ("/outputs/data/digest", json!(Digest::of(b"planted"))),
            ("/outputs/data/bytes", json!(5)),
            ("/provenance/user", json!("ada")),
            ("/seconds", json!(0.0)),
            ("/signature/signature", json!("00".repeat(64))),
        ] {
            let mut changed = record.clone();
            *changed.pointer_mut(path).unwrap() = value;
            assert_eq!(trust.check(&changed), forged, "{path}");
            assert_eq!(
                Trust::default().check(&changed),
                forged,
                "{path}: an invalid signature is never accepted"
            );
        }
        let mut added = record.clone();
        added["by_a_later_version"] = json!(true);
        assert_eq!(trust.check(&added), forged);
        let (other, _) = signed(2);
        let mut renamed = record;
        renamed["signature"]["key"] = json!(other.public());
        assert_eq!(trust.check(&renamed), Err(Distrust::Forged(other.public())));
    }

    #[test]
    fn an_untrusted_record_is_a_miss_and_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        let store = Store::open(folder.path()).unwrap();
        let strict = store.clone().trusting(Trust::new([key.public()], true));
        let (mut record, stage) = (record(), record().fingerprint.key());
        store.write_record(&record).unwrap();
        assert!(store.outputs(&stage).unwrap().is_some());
        assert_eq!(strict.outputs(&stage).unwrap(), None);
        assert_eq!(strict.ignored(), BTreeMap::from([(stage, Distrust::Unsigned)]));
        record.sign(&key);
        strict.write_record(&record).unwrap();
        assert_eq!(strict.outputs(&stage).unwrap(), Some(record.outputs.clone()));
        assert_eq!(strict.record(&stage).unwrap(), Some(record));
    }
}

//! Records that come from elsewhere: nothing in them is believed before it is checked.

use super::record::{FORMAT, Format};
use super::{Distrust, Record, Store};
use crate::hash::Digest;

/// A longer record is refused unread: one of a thousand params has 100 kB.
pub const LONGEST: usize = 16 << 20;

/// More bytes, seconds or years than any artifact or stage has; what computes with such numbers would overflow.
const MOST: u64 = 1 << 50;

/// Why a record was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What is there is no record at all, such as a server's page about an error.
    #[error("it is not a record ({0})")]
    NotARecord(String),
    /// Written by a later version of the runner.
    #[error("it has format {found}, and this runner reads up to {known}: use a newer runner")]
    Newer { found: u32, known: u32 },
    /// A record of another stage, put where this one's belongs.
    #[error("it is the record of another stage ({})", .0.short())]
    OtherStage(Digest),
    /// Nobody who is trusted vouches for it, or its signature is wrong.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// A value that no stage has.
    #[error("its {0}")]
    Unsound(String),
}

impl Refused {
    /// Whether what is there is of no use to any runner, so that a right record may take its place.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Newer { .. })
    }
}

impl Store {
    /// Checks the record that somebody else has under `key`: that it can be read, that its fingerprint is the one that the key is
    /// made of, that names and numbers in it are such as a stage has, and that it is signed where that is required. Nothing is written.
    ///
    /// # Errors
    /// When it must not be used.
    pub fn admit(&self, key: &Digest, bytes: &[u8]) -> Result<Record, Refused> {
        if bytes.len() > LONGEST {
            return Err(Refused::NotARecord(format!("{} bytes", bytes.len())));
        }
        let not_a_record = |error: serde_json::Error| Refused::NotARecord(error.to_string());
        // What a later version wrote may look different in all but its first field.
        let Format { format: found } = serde_json::from_slice(bytes).map_err(not_a_record)?;
        if found > FORMAT {
            return Err(Refused::Newer { found, known: FORMAT });
        }
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(not_a_record)?;
        let record: Record = serde_json::from_slice(bytes).map_err(not_a_record)?;
        let found = record.fingerprint.key();
        if found != *key {
            return Err(Refused::OtherStage(found));
        }
        if let Some(problem) = sound(&record) {
            return Err(Refused::Unsound(problem));
        }
        self.trust().check(&value)?;
        Ok(record)
    }
}

/// What is wrong with a record's values, if anything is.
fn sound(record: &Record) -> Option<String> {
    let port = record.outputs.keys().find(|port| !is_name(port));
    let size = record.outputs.iter().find(|(_, artifact)| artifact.bytes > MOST);
    let seconds = record.seconds;
    if record.outputs.is_empty() {
        Some("outputs are missing".to_owned())
    } else if let Some(port) = port {
        Some(format!("output `{}` has a name that no port has", port.escape_debug()))
    } else if let Some((port, artifact)) = size {
        Some(format!("output `{port}` has {} bytes", artifact.bytes))
    } else if !(0.0..MOST as f64).contains(&seconds) || record.started > MOST {
        Some("times are not a stage's".to_owned())
    } else if !(record.run.is_empty() || is_name(&record.run)) {
        Some(format!("run `{}` has a name that no run has", record.run.escape_debug()))
    } else {
        None
    }
}

/// Letters, digits, `-`, `_`: what is safe as the name of a file on every system.
fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::store::tests;

    fn record() -> Record {
        tests::record(json!({"mode": "new"}))
    }

    /// What is said of the record after a change, under the key that it has.
    fn said(change: impl FnOnce(&mut Value)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut value = serde_json::to_value(record()).unwrap();
        change(&mut value);
        let admitted = store.admit(&record().fingerprint.key(), value.to_string().as_bytes());
        admitted.map_or_else(|refused| refused.to_string(), |_| "admitted".to_owned())
    }

    #[test]
    fn a_sound_record_is_admitted_under_its_own_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let bytes = serde_json::to_vec(&record()).unwrap();
        assert_eq!(store.admit(&record().fingerprint.key(), &bytes), Ok(record()));
        let planted = store.admit(&Digest::of(b"another stage"), &bytes);
        assert_eq!(planted, Err(Refused::OtherStage(record().fingerprint.key())));
    }

    #[test]
    fn what_no_stage_has_is_refused() {
        assert_eq!(said(|_| ()), "admitted");
        assert!(said(|record| record["fingerprint"]["seed"] = 7.into()).starts_with("it is the record of another stage"));
        assert_eq!(
            said(|record| record["format"] = 9.into()),
            "it has format 9, and this runner reads up to 1: use a newer runner"
        );
        assert!(said(|record| *record = json!("<html>")).starts_with("it is not a record"));
        assert!(said(|record| record["outputs"]["data"]["digest"] = "../../etc".into()).contains("is not a digest"));
        assert!(said(|record| record["outputs"]["data"]["bytes"] = (-1).into()).starts_with("it is not a record"));
        assert_eq!(
            said(|record| record["outputs"]["data"]["bytes"] = u64::MAX.into()),
            format!("its output `data` has {} bytes", u64::MAX)
        );
        assert_eq!(said(|record| record["outputs"] = json!({})), "its outputs are missing");
        for port in ["", ".", "../data", "a/b", "a\n", &"x".repeat(101)] {
            let said = said(|record| record["outputs"][port] = record["outputs"]["data"].clone());
            assert!(said.ends_with("has a name that no port has"), "{said}");
        }
        for (field, value) in [("seconds", json!(-1.0)), ("seconds", json!(1e300)), ("started", u64::MAX.into())] {
            assert_eq!(said(|record| record[field] = value), "its times are not a stage's");
        }
        assert!(said(|record| record["run"] = "../x".into()).contains("no run has"));
    }
}

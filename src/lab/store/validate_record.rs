//! Checks records that come from elsewhere, before anything in them is used.

use super::manifest::MANIFEST_VERSION;
use super::record::{FormatVersion, RECORD_FORMAT};
use super::{Artifact, Distrust, Record, Store};
use crate::hash::Digest;

/// A longer record is refused unread. A record with a thousand params has 100 kB.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Larger sizes and times are refused: no artifact or stage has them, and calculations with them would overflow.
const MAX_PLAUSIBLE: u64 = 1 << 50;

/// A record is not valid under its key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not a record, for example the error page of a server.
    #[error("it is not a record ({0})")]
    NotARecord(String),
    /// A later version of the runner has written it.
    #[error("it has format {found}, but this runner reads only up to {known}: use a newer runner")]
    Newer { found: u32, known: u32 },
    /// It belongs to another key.
    #[error("it is the record of another stage ({})", .0.short())]
    OtherStage(Digest),
    /// It has no trusted signature, or a wrong one.
    #[error(transparent)]
    Distrusted(#[from] Distrust),
    /// It says that a person has accepted its outputs.
    #[error("its outputs were accepted by hand on another machine, and such claims stay there")]
    Accepted,
    /// It has a value that no stage can have.
    #[error("its {0}")]
    ImpossibleValue(String),
}

impl RecordError {
    /// Whether the record is of no use to any version of the runner, so that a valid one may replace it.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Newer { .. })
    }
}

impl Store {
    /// Parses the record that somebody else has under `key`, and checks that its fingerprint has this key, that its names and numbers are
    /// possible for a stage, and that it is signed if that is required. Writes nothing.
    ///
    /// # Errors
    /// If the record must not be used.
    pub fn validate_record(&self, key: &Digest, bytes: &[u8]) -> Result<Record, RecordError> {
        let record = self.validate_own_record(key, bytes)?;
        if record.accepted.is_some() {
            return Err(RecordError::Accepted);
        }
        Ok(record)
    }

    /// The same for a record that this store has, which may be an accepted one.
    ///
    /// # Errors
    /// If the record must not be used.
    pub(super) fn validate_own_record(&self, key: &Digest, bytes: &[u8]) -> Result<Record, RecordError> {
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::NotARecord(format!("{} bytes", bytes.len())));
        }
        let not_a_record = |error: serde_json::Error| RecordError::NotARecord(error.to_string());
        // In a later version, all other fields may be different.
        let FormatVersion { format: found } = serde_json::from_slice(bytes).map_err(not_a_record)?;
        if found > RECORD_FORMAT {
            return Err(RecordError::Newer {
                found,
                known: RECORD_FORMAT,
            });
        }
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(not_a_record)?;
        let record: Record = serde_json::from_slice(bytes).map_err(not_a_record)?;
        let found = record.fingerprint.key();
        if found != *key {
            return Err(RecordError::OtherStage(found));
        }
        if let Some(problem) = impossible_value(&record) {
            return Err(RecordError::ImpossibleValue(problem));
        }
        self.trust().check(&value)?;
        Ok(record)
    }
}

/// A value in the record that no stage can have.
fn impossible_value(record: &Record) -> Option<String> {
    let port = record.outputs.keys().find(|port| !is_name(port));
    let size = record.outputs.iter().find(|(_, artifact)| artifact.bytes > MAX_PLAUSIBLE);
    let manifest = record
        .outputs
        .iter()
        .find(|(_, artifact)| !is_manifest_version(artifact, record.format));
    let seconds = record.seconds;
    if record.outputs.is_empty() {
        Some("outputs are missing".to_owned())
    } else if let Some(port) = port {
        Some(format!("output `{}` has a name that no port has", port.escape_debug()))
    } else if let Some((port, artifact)) = size {
        Some(format!("output `{port}` has {} bytes", artifact.bytes))
    } else if let Some((port, artifact)) = manifest {
        Some(format!("output `{port}` has a manifest of version {}", artifact.manifest))
    } else if !(0.0..MAX_PLAUSIBLE as f64).contains(&seconds) || record.started > MAX_PLAUSIBLE {
        Some("times are not a stage's".to_owned())
    } else if !(record.run.is_empty() || is_name(&record.run)) {
        Some(format!("run `{}` has a name that no run has", record.run.escape_debug()))
    } else {
        None
    }
}

/// Whether a record of this format may have an output with this version of a manifest.
fn is_manifest_version(artifact: &Artifact, format: u32) -> bool {
    artifact.manifest == 1 || (artifact.manifest == MANIFEST_VERSION && format > 1)
}

/// Letters, digits, `-` and `_`: safe in the name of a file on every system.
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

    /// The error for the record after a change, under its old key; `valid` if there is none.
    fn verdict(change: impl FnOnce(&mut Value)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut value = serde_json::to_value(record()).unwrap();
        change(&mut value);
        let result = store.validate_record(&record().fingerprint.key(), value.to_string().as_bytes());
        result.map_or_else(|error| error.to_string(), |_| "valid".to_owned())
    }

    #[test]
    fn a_record_is_valid_only_under_its_own_key() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let bytes = serde_json::to_vec(&record()).unwrap();
        assert_eq!(store.validate_record(&record().fingerprint.key(), &bytes), Ok(record()));
        let planted = store.validate_record(&Digest::of(b"another stage"), &bytes);
        assert_eq!(planted, Err(RecordError::OtherStage(record().fingerprint.key())));
    }

    #[test]
    fn values_that_no_stage_has_are_refused() {
        assert_eq!(verdict(|_| ()), "valid");
        assert!(verdict(|record| record["fingerprint"]["seed"] = 7.into()).starts_with("it is the record of another stage"));
        assert_eq!(
            verdict(|record| record["format"] = 9.into()),
            "it has format 9, but this runner reads only up to 2: use a newer runner"
        );
        assert!(verdict(|record| *record = json!("<html>")).starts_with("it is not a record"));
        assert!(verdict(|record| record["outputs"]["data"]["digest"] = "../../etc".into()).contains("is not a digest"));
        assert!(verdict(|record| record["outputs"]["data"]["bytes"] = (-1).into()).starts_with("it is not a record"));
        assert_eq!(
            verdict(|record| record["outputs"]["data"]["bytes"] = u64::MAX.into()),
            format!("its output `data` has {} bytes", u64::MAX)
        );
        for (format, version) in [(1, 2), (1, 0), (2, 3)] {
            let verdict = verdict(|record| {
                record["format"] = format.into();
                record["outputs"]["data"]["manifest"] = version.into();
            });
            assert_eq!(verdict, format!("its output `data` has a manifest of version {version}"));
        }
        assert_eq!(verdict(|record| record["outputs"] = json!({})), "its outputs are missing");
        for port in ["", ".", "../data", "a/b", "a\n", &"x".repeat(101)] {
            let verdict = verdict(|record| record["outputs"][port] = record["outputs"]["data"].clone());
            assert!(verdict.ends_with("has a name that no port has"), "{verdict}");
        }
        for (field, value) in [("seconds", json!(-1.0)), ("seconds", json!(1e300)), ("started", u64::MAX.into())] {
            assert_eq!(verdict(|record| record[field] = value), "its times are not a stage's");
        }
        assert!(verdict(|record| record["run"] = "../x".into()).contains("no run has"));
    }
}

//! Records: the inputs and outputs of each executed stage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::index::shard_entries;
use super::{Acceptance, Artifact, Distrust, Provenance, SecretKey, Signature, Store, StoreError, atomic};
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;

/// The newest version of the record's format. A reader refuses a later one.
pub(super) const RECORD_FORMAT: u32 = 2;

/// The version for outputs that have a manifest of version 2. All other records have version 1, so that earlier runners read them.
const MANIFEST_2_FORMAT: u32 = 2;

/// A stage's artifacts by output port.
pub type Outputs = BTreeMap<String, Artifact>;

/// The store's entry for one executed stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) format: u32,
    pub outputs: Outputs,
    pub fingerprint: Fingerprint,
    /// For display and for `plan`: the stage's name, its variant and experiment when it ran. Never part of the key.
    pub stage: String,
    pub variant: BTreeMap<String, String>,
    pub experiment: String,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// The wall-clock time that it took.
    pub seconds: f64,
    pub threads: usize,
    pub machine: Machine,
    /// The run that it was part of. The run's folder has the events and the stage's log.
    pub run: String,
    #[serde(default)]
    pub provenance: Provenance,
    /// What its experiment wished at the time for its outputs, as [`super::keep_text`] says it; the default is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub keep: String,
    /// Set where the stage did not run under this key, and a person has accepted the outputs of an earlier one for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Acceptance>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// The outputs that a record has.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedOutputs {
    pub outputs: Outputs,
    /// Whether a person has accepted them for this key: see [`Acceptance`].
    pub is_accepted: bool,
}

/// The machine that a stage ran on. It is not in the key, but helps if results differ in the last bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    pub cores: usize,
    /// The widest vector instructions that the engine may use: `avx512`, `avx2`, `neon`, `plain`.
    pub instruction_set: String,
    pub runner: String,
}

/// The beginning of a record, in every version of the format.
#[derive(Deserialize)]
pub(super) struct FormatVersion {
    pub(super) format: u32,
}

/// The part of a record that a hit needs. The rest is not parsed.
#[derive(Deserialize)]
struct RecordHead {
    format: u32,
    outputs: Outputs,
    fingerprint: Fingerprint,
    #[serde(default)]
    accepted: Option<IgnoredAny>,
}

/// The outputs in a record that begins as records are written and has just this fingerprint; `None` for any other record, which must be
/// parsed as a whole. Nothing that follows the fingerprint is parsed here: a run of hits does this for all its stages.
fn written_outputs(fingerprint: &Fingerprint, record: &[u8]) -> Option<Outputs> {
    let record = std::str::from_utf8(record).ok()?;
    let (format, rest) = record.strip_prefix(r#"{"format":"#)?.split_once(',')?;
    let rest = rest.strip_prefix(r#""outputs":"#)?;
    let mut outputs = serde_json::Deserializer::from_str(rest).into_iter::<Outputs>();
    let found = outputs.next()?.ok()?;
    let rest = rest.get(outputs.byte_offset()..)?;
    let expected = serde_json::to_string(fingerprint).ok()?;
    let rest = rest.strip_prefix(r#","fingerprint":"#)?.strip_prefix(expected.as_str())?;
    let is_known = format.parse::<u32>().is_ok_and(|format| format <= RECORD_FORMAT);
    // Within a text, the quotes would have a backslash before them.
    let is_accepted = rest.contains(r#""accepted":"#);
    (is_known && !is_accepted && rest.starts_with(',') && ends_object(rest)).then_some(found)
}

/// Whether the last brace of a text, which begins within an object, ends that object: nothing is cut off.
fn ends_object(rest: &str) -> bool {
    let (mut depth, mut in_text, mut is_escaped) = (1_usize, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' if !in_text => depth += 1,
            b'}' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1 == rest.len();
        }
    }
    false
}

impl Record {
    /// A record, in the oldest format that can hold it.
    pub fn new(fingerprint: Fingerprint, outputs: Outputs) -> Self {
        let is_new = outputs.values().any(|artifact| artifact.manifest > 1);
        Self {
            format: if is_new { MANIFEST_2_FORMAT } else { 1 },
            outputs,
            fingerprint,
            stage: String::new(),
            variant: BTreeMap::new(),
            experiment: String::new(),
            started: 0,
            seconds: 0.0,
            threads: 1,
            machine: Machine::default(),
            run: String::new(),
            provenance: Provenance::default(),
            keep: String::new(),
            accepted: None,
            signature: None,
        }
    }

    /// Signs the whole record.
    pub fn sign(&mut self, key: &SecretKey) {
        let value = serde_json::to_value(&*self).expect("a record is a plain tree of values");
        self.signature = Some(Signature::of(&value, key));
    }
}

impl Store {
    /// The outputs of the stage `key`, if it has a record that is trusted. [`Store::has`] tells whether they still exist. A damaged record
    /// is ignored: see [`Store::ignored`].
    ///
    /// # Errors
    /// If the record cannot be read, or is of a newer runner's format.
    pub fn outputs(&self, key: &Digest) -> Result<Option<Outputs>, StoreError> {
        Ok(self.recorded(key)?.map(|recorded| recorded.outputs))
    }

    /// The same, and whether they were accepted for this key by a person.
    ///
    /// # Errors
    /// As [`Store::outputs`].
    pub fn recorded(&self, key: &Digest) -> Result<Option<RecordedOutputs>, StoreError> {
        let path = self.record_path(key);
        let mut buffer = RecordBuffer::new();
        let Some(bytes) = buffer.read(&path)? else { return Ok(None) };
        self.recorded_in(bytes, key, path)
    }

    /// [`Store::recorded`] of the stage with this fingerprint, whose key is `key`. A run of hits asks this of all its stages, so of a
    /// record that says the fingerprint in the same words nothing but the outputs is parsed, and nothing hashed.
    ///
    /// # Errors
    /// As those of [`Store::outputs`].
    pub fn recorded_of(&self, fingerprint: &Fingerprint, key: &Digest) -> Result<Option<RecordedOutputs>, StoreError> {
        let path = self.record_path(key);
        let mut buffer = RecordBuffer::new();
        let Some(bytes) = buffer.read(&path)? else { return Ok(None) };
        match written_outputs(fingerprint, bytes) {
            Some(_) if self.trust.required && !self.trusts(key, bytes) => Ok(None),
            Some(outputs) => Ok(Some(RecordedOutputs {
                outputs,
                is_accepted: false,
            })),
            None => self.recorded_in(bytes, key, path),
        }
    }

    /// The outputs in the record `bytes`, which stands at `path`.
    fn recorded_in(&self, bytes: &[u8], key: &Digest, path: PathBuf) -> Result<Option<RecordedOutputs>, StoreError> {
        match serde_json::from_slice(bytes) {
            Ok(RecordHead { format, .. }) if format <= RECORD_FORMAT && self.trust.required && !self.trusts(key, bytes) => Ok(None),
            Ok(head) if head.format <= RECORD_FORMAT && head.fingerprint.key() == *key => Ok(Some(RecordedOutputs {
                outputs: head.outputs,
                is_accepted: head.accepted.is_some(),
            })),
            Ok(head) if head.format <= RECORD_FORMAT => {
                self.ignore(key, Distrust::Damaged("it is the record of another stage".to_owned()));
                Ok(None)
            }
            // In a later version, all other fields may be different.
            read => match (serde_json::from_slice(bytes), read) {
                (Ok(FormatVersion { format }), _) if format > RECORD_FORMAT => Err(StoreError::Newer {
                    path,
                    found: format,
                    known: RECORD_FORMAT,
                }),
                (_, read) => {
                    let why = read.err().map_or_else(|| "no format".to_owned(), |error| error.to_string());
                    self.ignore(key, Distrust::Damaged(why));
                    Ok(None)
                }
            },
        }
    }

    /// The complete record of the stage `key`, if there is one.
    ///
    /// # Errors
    /// If it cannot be read or is damaged.
    pub fn record(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        if self.outputs(key)?.is_none() {
            return Ok(None);
        }
        let path = self.sharded("records", key, ".json");
        let mut buffer = RecordBuffer::new();
        let Some(bytes) = buffer.read(&path)? else { return Ok(None) };
        serde_json::from_slice(bytes)
            .map(Some)
            .map_err(|error| damaged(path, &error.to_string()))
    }

    /// Every record, in no particular order. Those that cannot be read are skipped: this is only for explanations.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let files = walkdir::WalkDir::new(self.root.join("records")).into_iter().filter_map(Result::ok);
        files.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
            let record: Record = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
            (record.format <= RECORD_FORMAT).then_some(record)
        })
    }

    /// Writes a record. Its outputs must be in the store.
    ///
    /// # Errors
    /// If it cannot be written. Then the store is unchanged.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record).expect("a record is a plain tree of values");
        self.write_record_bytes(&record.fingerprint.key(), &bytes)
    }

    /// Writes the bytes of a record from elsewhere unchanged, so that its signature stays valid.
    pub(super) fn write_record_bytes(&self, key: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.sharded("records", key, ".json");
        atomic::write(&self.root.join("tmp"), &path, bytes).map_err(StoreError::io("write", &path))
    }
}

/// Records that remotes have: kept so that they are not requested again, and validated whenever they are read. Their objects need not
/// be here, so they do not count as records of this store.
impl Store {
    /// The record that a remote had under `key`, if it was remembered.
    pub(super) fn remote_record(&self, key: &Digest) -> Option<Record> {
        let bytes = std::fs::read(self.sharded("remote", key, ".json")).ok()?;
        self.validate_record(key, &bytes).ok()
    }

    /// Remembers a record that a remote has.
    pub(super) fn remember_remote_record(&self, key: &Digest, bytes: &[u8]) {
        // If this fails, the record is requested again.
        let _ = atomic::write_unsynced(&self.root.join("tmp"), &self.sharded("remote", key, ".json"), bytes);
    }

    /// Writes records of a remote, after all their outputs have been downloaded.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn adopt(&self, records: &[&Record]) -> Result<(), StoreError> {
        let tmp = self.root.join("tmp");
        let file = |record: &&Record| {
            let key = record.fingerprint.key();
            // Its own bytes, if they are still there: they may have fields of a later version, which are signed too.
            let own = std::fs::read(self.sharded("remote", &key, ".json")).ok();
            let own = own.filter(|bytes| self.validate_record(&key, bytes).is_ok_and(|found| found == **record));
            let bytes = own.unwrap_or_else(|| serde_json::to_vec(record).expect("a record is a plain tree of values"));
            (self.record_path(&key), bytes)
        };
        let files: Vec<_> = records.iter().map(file).collect();
        match files.as_slice() {
            [] => Ok(()),
            [(path, bytes)] => atomic::write(&tmp, path, bytes).map_err(StoreError::io("write", path)),
            files => atomic::write_all(&tmp, files).map_err(StoreError::io("write to", &tmp)),
        }
    }

    /// The keys of all records.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn keys(&self) -> Result<Vec<Digest>, StoreError> {
        let mut keys = Vec::new();
        for folder in self.shards("records")? {
            keys.extend(shard_entries(&folder)?.into_iter().map(|(key, _)| key));
        }
        keys.sort();
        Ok(keys)
    }
}

/// A buffer for a file's content. Most records fit into `short`, which needs no allocation, and are read with one system call.
struct RecordBuffer {
    short: [u8; 4096],
    long: Vec<u8>,
}

impl RecordBuffer {
    fn new() -> Self {
        Self {
            short: [0; 4096],
            long: Vec::new(),
        }
    }

    /// The content of the file, if it exists.
    fn read(&mut self, path: &Path) -> Result<Option<&[u8]>, StoreError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error)),
        };
        let length = file.read(&mut self.short).map_err(StoreError::io("read", path))?;
        if length < self.short.len() {
            return Ok(Some(&self.short[..length]));
        }
        self.long.extend_from_slice(&self.short);
        file.read_to_end(&mut self.long).map_err(StoreError::io("read", path))?;
        Ok(Some(&self.long))
    }
}

fn damaged(path: PathBuf, why: &str) -> StoreError {
    StoreError::Damaged {
        path,
        problem: format!("is not a record ({why}): remove it, and the stage runs again"),
    }
}

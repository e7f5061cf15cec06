//! Records: what one executed stage depended on, and what it put out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::listing::shard;
use super::object::Artifact;
use super::{Distrust, Provenance, Signature, Store, StoreError, atomic};
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;

/// The version of the record's format; a reader refuses a later one.
pub(super) const FORMAT: u32 = 1;

/// A stage's artifacts by output port.
pub type Outputs = BTreeMap<String, Artifact>;

/// The store's entry for one executed stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub(crate) format: u32,
    pub outputs: Outputs,
    pub fingerprint: Fingerprint,
    /// For people and for `plan`: the stage's name, its variant and experiment when it ran. Never part of the key.
    pub stage: String,
    pub variant: BTreeMap<String, String>,
    pub experiment: String,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// How long it took.
    pub seconds: f64,
    pub threads: usize,
    pub machine: Machine,
    /// The run it was part of: its folder has the events and the stage's log.
    pub run: String,
    #[serde(default)]
    pub provenance: Provenance,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// Where a stage ran: not in the key, but worth knowing when last bits differ.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub host: String,
    pub cores: usize,
    /// The widest vector instructions that the engine may use: `avx512`, `avx2`, `neon`, `plain`.
    pub instruction_set: String,
    pub runner: String,
}

/// What every version of a record begins with.
#[derive(Deserialize)]
pub(super) struct Format {
    pub(super) format: u32,
}

/// The part of a record that a hit needs; the rest is passed over when read.
#[derive(Deserialize)]
struct Head {
    format: u32,
    outputs: Outputs,
    fingerprint: Fingerprint,
}

impl Record {
    /// A record of the current format.
    pub fn new(fingerprint: Fingerprint, outputs: Outputs) -> Self {
        Self {
            format: FORMAT,
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
            signature: None,
        }
    }
}

impl Store {
    /// The outputs of the stage `key`, if it was ever run and its record is to be believed; whether they are still there is for [`Store::has`].
    /// A record that is damaged counts for nothing: see [`Store::ignored`].
    ///
    /// # Errors
    /// When the record cannot be read, or is of a newer runner's format.
    pub fn outputs(&self, key: &Digest) -> Result<Option<Outputs>, StoreError> {
        let path = self.sharded("records", key, ".json");
        let mut buffer = Buffer::new();
        let Some(bytes) = buffer.read(&path)? else { return Ok(None) };
        match serde_json::from_slice(bytes) {
            Ok(Head { format, .. }) if format <= FORMAT && self.trust.required && !self.believes(key, bytes) => Ok(None),
            Ok(head) if head.format <= FORMAT && head.fingerprint.key() == *key => Ok(Some(head.outputs)),
            Ok(head) if head.format <= FORMAT => {
                self.ignore(key, Distrust::Damaged("it is the record of another stage".to_owned()));
                Ok(None)
            }
            // What a later version wrote may look different in all but its first field.
            read => match (serde_json::from_slice(bytes), read) {
                (Ok(Format { format }), _) if format > FORMAT => Err(StoreError::Newer {
                    path,
                    found: format,
                    known: FORMAT,
                }),
                (_, read) => {
                    let why = read.err().map_or_else(|| "no format".to_owned(), |error| error.to_string());
                    self.ignore(key, Distrust::Damaged(why));
                    Ok(None)
                }
            },
        }
    }

    /// The whole record of the stage `key`, if it was ever run.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn record(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        if self.outputs(key)?.is_none() {
            return Ok(None);
        }
        let path = self.sharded("records", key, ".json");
        let mut buffer = Buffer::new();
        let Some(bytes) = buffer.read(&path)? else { return Ok(None) };
        serde_json::from_slice(bytes)
            .map(Some)
            .map_err(|error| damaged(path, &error.to_string()))
    }

    /// Every record, in no particular order; those that cannot be read are left out, since this serves explanations only.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let files = walkdir::WalkDir::new(self.root.join("records")).into_iter().filter_map(Result::ok);
        files.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
            let record: Record = serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok()?;
            (record.format <= FORMAT).then_some(record)
        })
    }

    /// Writes a record; its outputs must be in the store.
    ///
    /// # Errors
    /// When it cannot be written; the store is as it was.
    pub fn write_record(&self, record: &Record) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record).expect("a record is a plain tree of values");
        self.write_record_bytes(&record.fingerprint.key(), &bytes)
    }

    /// Writes a record as it came, so that its signature stays right.
    pub(super) fn write_record_bytes(&self, key: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.sharded("records", key, ".json");
        atomic::write(&self.root.join("tmp"), &path, bytes).map_err(StoreError::io("write", &path))
    }
}

/// Records that remotes have: kept so that they are not asked for again, and admitted again whenever they are read. Their objects
/// need not be here, so that they are no records of this store.
impl Store {
    /// The record that a remote had under `key`, if one is known.
    pub(super) fn known(&self, key: &Digest) -> Option<Record> {
        let bytes = std::fs::read(self.sharded("remote", key, ".json")).ok()?;
        self.admit(key, &bytes).ok()
    }

    /// Remembers a record that a remote has.
    pub(super) fn know(&self, key: &Digest, bytes: &[u8]) {
        // What is not remembered is asked for again.
        let _ = atomic::write_unsynced(&self.root.join("tmp"), &self.sharded("remote", key, ".json"), bytes);
    }

    /// Writes records that a remote had and whose outputs are all here now.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn adopt(&self, records: &[&Record]) -> Result<(), StoreError> {
        let tmp = self.root.join("tmp");
        let file = |record: &&Record| {
            let bytes = serde_json::to_vec(record).expect("a record is a plain tree of values");
            (self.record_path(&record.fingerprint.key()), bytes)
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
    /// When a folder cannot be read.
    pub fn keys(&self) -> Result<Vec<Digest>, StoreError> {
        let mut keys = Vec::new();
        for folder in self.shards("records")? {
            keys.extend(shard(&folder)?.into_iter().map(|(key, _)| key));
        }
        keys.sort();
        Ok(keys)
    }
}

/// Room for a file's content. Most records fit into what needs no allocation, and are read with one call of the system.
struct Buffer {
    short: [u8; 4096],
    long: Vec<u8>,
}

impl Buffer {
    fn new() -> Self {
        Self {
            short: [0; 4096],
            long: Vec::new(),
        }
    }

    /// The content of the file, if there is one.
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

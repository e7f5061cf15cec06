//! The store: objects (content, named by digest) and records (stage key → outputs).
//!
//! ```text
//! v1/objects/ab/cdef…        content, read-only, named by its digest: a file, or a folder of files
//! v1/records/ab/cdef….json   by stage key; written last, by rename: a record exists only if all its outputs do
//! v1/remote/ab/cdef….json    records that a remote has, whose objects need not be here
//! v1/partial/<digest>        large files on their way from a remote, with a list of the parts that are there
//! v1/runs/<run>/             events.jsonl and the stages' logs
//! v1/tmp/                    work in progress, named after its process; renamed into place when it is whole
//! v1/scratch/<key>/          checkpoints of stages that have not ended yet
//! v1/leases/<key>.json       who is computing what; the file's time is its heartbeat
//! v1/sources/<digest>/        what was fetched for experiments, by the digest of where it came from
//! v1/uses/<run>              what a run needs that has stages to run: not to be removed before it ends
//! v1/pins/<name>.json        what is kept for an experiment, whatever its age
//! v1/files/<path's digest>.json   digests of files outside the store, by size and times (stat cache)
//! ```
//!
//! Several processes and hosts may use one store at once, and any of them may be killed at any instant: everything appears by
//! rename (or link) of a file that is already whole and synced, objects before the record that names them. Nothing locks.

mod admit;
mod atomic;
mod bundle;
mod files;
mod gc;
mod lease;
mod leftovers;
mod listing;
mod object;
mod pin;
mod process;
mod provenance;
mod record;
pub mod remote;
#[cfg(test)]
mod tests;
mod trust;
mod uses;
mod verify;
mod work;

pub use admit::Refused;
pub use bundle::{BundleError, Contents, Files};
pub use gc::{Removed, Rules, Sweep, Victim};
pub use lease::{Acquired, Lease};
pub use leftovers::{Kind as LeftoverKind, Leftover};
pub use listing::Named;
pub use object::{Artifact, files_of};
pub use pin::Pin;
pub use process::host;
pub use provenance::{Code, Provenance};
pub use record::{Machine, Outputs, Record};
pub use trust::{Distrust, NotAKey, PublicKey, SecretKey, Signature, Trust};
pub use uses::Use;
pub use verify::{Damage, Verified};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::hash::Digest;

/// The version of the layout; another version is another folder.
const LAYOUT: &str = "v1";

/// A store in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    trust: Trust,
}

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// What is there is not what it should be.
    #[error("the store is damaged: {} {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// A link, or what else is neither a file nor a folder, in what is to be kept.
    #[error("{} is neither a file nor a folder: write a copy of what a link leads to", path.display())]
    NoFile { path: PathBuf },
    /// Written by a later version of the runner.
    #[error("{} has format {found}, and this runner reads up to {known}: use a newer runner, or another store (--store)", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// A remote that the settings require cannot be used.
    #[error("{0}")]
    Remote(String),
}

impl StoreError {
    /// Wraps an I/O error with what was being done to which path: `.map_err(StoreError::io("read", path))`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Bytes and counts of what the store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Size {
    pub objects: u64,
    pub object_bytes: u64,
    pub records: u64,
    /// Checkpoints, logs, events and work in progress.
    pub other_bytes: u64,
}

impl Store {
    /// Opens the store in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made or is not a folder.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let root = folder.join(LAYOUT);
        std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        for part in [
            "objects", "records", "remote", "partial", "runs", "tmp", "scratch", "leases", "uses", "pins", "sources", "files",
        ] {
            let path = root.join(part);
            atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        }
        let root = root.canonicalize().map_err(StoreError::io("open", &root))?;
        let trust = Trust::default();
        Ok(Self { root, trust })
    }

    /// The folder it was opened with.
    pub fn folder(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// Where the object named `digest` is, or would be.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        self.sharded("objects", digest, "")
    }

    /// Where the record of the stage `key` is, or would be.
    fn record_path(&self, key: &Digest) -> PathBuf {
        self.sharded("records", key, ".json")
    }

    /// A new folder for the outputs of a stage; removed when dropped.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn workspace(&self) -> Result<TempDir, StoreError> {
        let path = self.root.join("tmp");
        work::builder()
            .tempdir_in(&path)
            .map_err(StoreError::io("create a folder in", &path))
    }

    /// The folder for the checkpoints of the stage `key`; made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.root.join("scratch").join(key.to_string());
        atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }

    /// The folder for what is fetched from one place, named by that place's digest; it need not exist.
    pub fn sources(&self, place: &Digest) -> PathBuf {
        self.root.join("sources").join(place.to_string())
    }

    /// Removes the checkpoints of a stage that has ended.
    pub fn clear_scratch(&self, key: &Digest) {
        // What is left behind costs space, not correctness: a later checkpoint of the same key replaces it.
        let _ = std::fs::remove_dir_all(self.root.join("scratch").join(key.to_string()));
    }

    /// The folder of one run, for its events and logs; made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn run_folder(&self, run: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join("runs").join(run);
        atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }

    /// Counts what the store holds.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn size(&self) -> Result<Size, StoreError> {
        let mut size = Size::default();
        for entry in walkdir::WalkDir::new(&self.root) {
            let Ok(entry) = entry else { continue }; // Gone since it was listed: another process works here.
            let Ok(about) = entry.metadata() else { continue };
            let place = entry.path().strip_prefix(&self.root).unwrap_or(entry.path());
            let bytes = if about.is_file() { about.len() } else { 0 };
            match place.iter().next().and_then(|part| part.to_str()) {
                Some("objects") => {
                    size.objects += u64::from(place.iter().count() == 3);
                    size.object_bytes += bytes;
                }
                Some("records") => size.records += u64::from(about.is_file()),
                _ => size.other_bytes += bytes,
            }
        }
        Ok(size)
    }

    /// `objects/ab/cdef…`: two digits of the digest make the folder, so that no folder grows too large.
    fn sharded(&self, part: &str, digest: &Digest, ending: &str) -> PathBuf {
        let name = digest.to_string();
        let (folder, rest) = name.split_at(2);
        // Whole from the start: a run of hits makes two of these for each stage.
        let mut path = OsString::with_capacity(self.root.as_os_str().len() + part.len() + name.len() + ending.len() + 3);
        path.push(&self.root);
        for word in ["/", part, "/", folder, "/", rest, ending] {
            path.push(word);
        }
        path.into()
    }
}

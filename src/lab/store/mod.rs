//! The store: objects (content, named by digest) and records (stage key → outputs).
//!
//! ```text
//! v1/objects/ab/cdef…        content, read-only, named by its digest: a file, or a folder of files
//! v1/records/ab/cdef….json   by stage key; written last, by rename, after all its outputs
//! v1/remote/ab/cdef….json    records that a remote has, whose objects need not be here
//! v1/partial/<digest>        large files during a download, with a list of the parts that have arrived
//! v1/runs/<run>/             events.jsonl and the stages' logs; status.json, how the run is; requests/, what others ask of it
//! v1/tmp/                    work in progress, named after its process; renamed into place when it is complete
//! v1/scratch/<key>/          checkpoints of stages that have not ended yet
//! v1/leases/<key>.json       who is computing which stage; the file's time is its heartbeat
//! v1/sources/<digest>/       downloaded sources, by the digest of their address
//! v1/uses/<run>              artifacts that a run in progress needs: gc leaves them alone until it ends
//! v1/pins/<name>.json        artifacts that are protected from gc for an experiment
//! v1/gone/ab/cdef….json      artifacts that gc deleted, by digest: see `tombstone`
//! v1/kept/ab/cdef…/          the small files of them that reports read
//! v1/wishes/<name>           how long experiments want their artifacts to be kept
//! v1/files/<path's digest>.json   digests of files outside the store, by size and times (stat cache)
//! ```
//!
//! Several processes and hosts may use one store at once, and any of them may be killed at any instant: everything appears by
//! rename (or link) of a file that is complete and synced, objects before the record that names them. There are no locks.

mod acceptance;
mod artifact;
#[cfg(test)]
mod artifact_tests;
mod atomic;
mod bundle;
mod copy;
mod derived;
mod gc;
mod gc_roots;
mod index;
mod keep;
mod lease;
mod leftovers;
mod manifest;
mod object;
mod process;
mod protect;
mod provenance;
mod record;
pub mod remote;
mod run_file;
mod run_requests;
mod shape;
mod signature;
mod stat_cache;
#[cfg(test)]
mod tests;
mod tmp;
mod tombstone;
mod trust;
mod validate_record;
mod verify;
mod wishes;

pub use artifact::Artifact;
pub use bundle::{BUNDLE_HEAD, BundleContents, BundleError, BundleFiles, check_head};
pub use copy::shares_blocks;
pub use derived::Derived;
pub use gc::{DeletedOutput, GcPlan, GcRules, GcSummary, GcVictim, IsResult};
pub use gc_roots::RunRoots;
pub use index::StoreEntry;
pub use keep::{Keep, NotAKeep, StageKeep, keep_text};
pub use lease::{Acquired, Lease};
pub use leftovers::{Leftover, LeftoverKind};
pub use object::files_of;
pub use process::host;
pub use protect::Protection;
pub use provenance::{Acceptance, Code, FailedAttempt, ProgramFound, Provenance};
pub use record::{Machine, Outputs, Record, RecordedOutputs};
pub use run_file::{RunFile, RunFileText, RunHolder};
pub use run_requests::{ReceivedRequest, SentRequest};
pub use signature::{NotAKey, PublicKey, SecretKey, Signature};
pub use tmp::remove_folder;
pub use tombstone::{Presence, Tombstone};
pub use trust::{Distrust, Trust};
pub use validate_record::RecordError;
pub use verify::{Damage, VerifySummary};
pub use wishes::{StageWish, Wisher};

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::hash::Digest;

/// The version of the layout. Each version has a folder of its own.
const LAYOUT_VERSION: &str = "v1";

/// A store in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    trust: Trust,
    /// Whether the file system knows which files are executable; found out when it matters.
    keeps_modes: Arc<OnceLock<bool>>,
}

/// The store cannot be read or written, or is damaged.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An error of the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    /// A file does not have the content that it should have.
    #[error("the store is damaged: {} {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },
    /// An output contains a link, or something else that is neither a file nor a folder.
    #[error("{} is neither a file nor a folder: replace a link by a copy of its target", manifest::shown(path))]
    NoFile { path: PathBuf },
    /// An artifact has a file or folder with a name that not every store, remote and bundle can hold.
    #[error("the name `{name}` in it {problem}: give the file or folder another name")]
    Name { name: String, problem: &'static str },
    /// A later version of the runner has written it.
    #[error("{} has format {found}, but this runner reads only up to {known}: use a newer runner, or another store (--store)", path.display())]
    Newer { path: PathBuf, found: u32, known: u32 },
    /// A required remote cannot be used.
    #[error("{0}")]
    Remote(String),
}

impl StoreError {
    /// Adds the action and the path to an I/O error: `.map_err(StoreError::io("read", path))`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// The number and size of the store's objects and records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StoreSize {
    pub objects: u64,
    pub object_bytes: u64,
    pub records: u64,
    /// Checkpoints, logs, events and work in progress.
    pub other_bytes: u64,
}

impl Store {
    /// Opens the store in `folder`, and creates it if it is missing.
    ///
    /// # Errors
    /// If the folder cannot be created, or is not a folder.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let root = folder.join(LAYOUT_VERSION);
        std::fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        for part in [
            "objects", "records", "remote", "partial", "runs", "tmp", "scratch", "leases", "uses", "pins", "sources", "files",
        ] {
            let path = root.join(part);
            atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        }
        let root = root.canonicalize().map_err(StoreError::io("open", &root))?;
        Ok(Self::at(root))
    }

    /// Opens the store in `folder` as it is, and makes nothing; `None` if there is none.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn existing(folder: &Path) -> Result<Option<Self>, StoreError> {
        let root = folder.join(LAYOUT_VERSION);
        match root.canonicalize() {
            Ok(root) if root.join("objects").is_dir() => Ok(Some(Self::at(root))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", &root)(error)),
        }
    }

    /// An empty store for commands that only read, where there is none. Nothing makes its folder.
    pub fn absent(folder: &Path) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        Self::at(folder.join(LAYOUT_VERSION))
    }

    /// A store with this folder of a version.
    fn at(root: PathBuf) -> Self {
        Self {
            root,
            trust: Trust::default(),
            keeps_modes: Arc::default(),
        }
    }

    /// The folder that the store was opened with.
    pub fn folder(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// The bytes that are free on the disk of its folder; `None` where that cannot be told.
    pub fn free_space(&self) -> Option<u64> {
        // A store that is to be made lies on the disk of the folder that it will be in.
        let about = self.root.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
        Some(about.f_bavail.saturating_mul(about.f_frsize))
    }

    /// The path of the object `digest`, whether it exists or not.
    pub fn object(&self, digest: &Digest) -> PathBuf {
        self.sharded("objects", digest, "")
    }

    /// The path of the record of the stage `key`, whether it exists or not.
    fn record_path(&self, key: &Digest) -> PathBuf {
        self.sharded("records", key, ".json")
    }

    /// A new folder for the outputs of a stage; removed when dropped.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn workspace(&self) -> Result<TempDir, StoreError> {
        let path = self.root.join("tmp");
        tmp::builder()
            .tempdir_in(&path)
            .map_err(StoreError::io("create a folder in", &path))
    }

    /// The folder for the checkpoints of the stage `key`; created if it is missing.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn scratch(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.scratch_path(key);
        atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }

    /// The path of this folder, whether it exists or not.
    pub fn scratch_path(&self, key: &Digest) -> PathBuf {
        self.root.join("scratch").join(key.to_string())
    }

    /// The folder for the downloads from one address, named by the address's digest. It need not exist.
    pub fn sources(&self, address: &Digest) -> PathBuf {
        self.root.join("sources").join(address.to_string())
    }

    /// Removes the checkpoints of a stage that has ended.
    pub fn clear_scratch(&self, key: &Digest) {
        // A checkpoint that stays only costs space: a later one of the same key replaces it.
        let _ = remove_folder(&self.scratch_path(key));
    }

    /// The folder of one run, for its events and logs; created if it is missing.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn run_folder(&self, run: &str) -> Result<PathBuf, StoreError> {
        let path = self.root.join("runs").join(run);
        atomic::make_folder(&path).map_err(StoreError::io("create", &path))?;
        Ok(path)
    }

    /// The number and size of the store's objects and records.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn size(&self) -> Result<StoreSize, StoreError> {
        let mut size = StoreSize::default();
        for entry in walkdir::WalkDir::new(&self.root) {
            let Ok(entry) = entry else { continue }; // Another process has removed it since it was listed.
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
        // Allocated once: a run of hits makes two of these paths for each stage.
        let mut path = OsString::with_capacity(self.root.as_os_str().len() + part.len() + name.len() + ending.len() + 3);
        path.push(&self.root);
        for word in ["/", part, "/", folder, "/", rest, ending] {
            path.push(word);
        }
        path.into()
    }
}

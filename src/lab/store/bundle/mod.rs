//! Bundles: an experiment's files, records and artifacts in one archive (tar), which another machine checks before it uses anything.
//!
//! ```text
//! bundle.json                 first: the table of contents, against which everything after it is checked
//! files/<path>                the experiment, the files that it extends, and scripts and sources beside them
//! objects/<digest>            an artifact that is a file
//! objects/<digest>/<path>     a file of one that is a folder
//! objects/<digest>/<path>/    an empty folder of one
//! records/<key>.json          last: after the objects that the record names
//! ```
//!
//! The archive says which files are executable.

use std::collections::{BTreeMap, BTreeSet};
mod unpack;

pub use unpack::{BUNDLE_HEAD, check_head};

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use super::copy::is_executable;
use super::manifest::{EntryContent, shown};
use super::{Artifact, Store, StoreError};
use crate::hash::Digest;

/// The newest version of the archive's layout. Version 2 is used only if an artifact has a manifest of version 2.
const BUNDLE_FORMAT: u32 = 2;

/// The table of contents of a bundle: its first entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleContents {
    format: u32,
    /// The experiment's file, a path of `files`.
    pub experiment: String,
    /// Sizes of the experiment's files, by path.
    pub files: BTreeMap<String, u64>,
    pub objects: BTreeMap<Digest, ArtifactSize>,
    /// Sizes of the records, by key.
    pub records: BTreeMap<Digest, u64>,
}

/// The size of an artifact, and whether it is a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactSize {
    pub bytes: u64,
    pub folder: bool,
}

/// A bundle could not be written or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is incomplete, or is not one.
    #[error("cannot read the bundle: {0}")]
    Read(#[from] io::Error),
    /// Something in it must not be used or unpacked.
    #[error("the bundle is refused: {0}")]
    Refused(String),
    /// Something cannot be packed: the other machine would refuse it.
    #[error("cannot be packed: {0}")]
    Unfit(String),
}

/// The experiment's files, by their paths in the bundle.
pub type BundleFiles = BTreeMap<String, PathBuf>;

impl Store {
    /// Writes a bundle. The same experiment, records and artifacts give the same bytes.
    ///
    /// # Errors
    /// If something cannot be read or written.
    pub fn bundle(
        &self,
        out: impl Write,
        experiment: &str,
        files: &BundleFiles,
        keys: &BTreeSet<Digest>,
        artifacts: &[Artifact],
    ) -> Result<BundleContents, BundleError> {
        let mut contents = BundleContents {
            format: if artifacts.iter().any(|artifact| artifact.manifest > 1) {
                2
            } else {
                1
            },
            experiment: experiment.to_owned(),
            ..BundleContents::default()
        };
        for (name, path) in files {
            check_name(name)?;
            contents.files.insert(name.clone(), std::fs::metadata(path)?.len());
        }
        let record = |key: &Digest| self.sharded("records", key, ".json");
        for key in keys {
            let bytes = std::fs::read(record(key))?;
            if let Err(error) = self.validate_record(key, &bytes) {
                return Err(BundleError::Unfit(format!("the record {}: {error}", key.short())));
            }
            contents.records.insert(*key, bytes.len() as u64);
        }
        for artifact in artifacts {
            let Artifact { digest, bytes, folder, .. } = *artifact;
            contents.objects.insert(digest, ArtifactSize { bytes, folder });
        }
        let mut archive = Builder::new(out);
        let table = serde_json::to_vec(&contents).map_err(io::Error::other)?;
        append(&mut archive, "bundle.json", (table.len() as u64, false), table.as_slice())?;
        for (name, path) in files {
            let file = File::open(path)?;
            let executable = is_executable(&file.metadata()?);
            append(&mut archive, &format!("files/{name}"), (contents.files[name], executable), file)?;
        }
        for digest in contents.objects.keys() {
            self.append_object(&mut archive, digest)?;
        }
        for (key, bytes) in &contents.records {
            append(
                &mut archive,
                &format!("records/{key}.json"),
                (*bytes, false),
                File::open(record(key))?,
            )?;
        }
        archive.into_inner()?.flush()?;
        Ok(contents)
    }

    /// Adds an artifact, after a check that it is what its name says.
    fn append_object(&self, archive: &mut Builder<impl Write>, digest: &Digest) -> Result<(), BundleError> {
        let path = self.object(digest);
        let manifest = self.manifest(&path)?;
        if manifest.artifact().digest != *digest {
            let why = "is damaged: `runner cache repair` removes it, and the next run computes it again";
            return Err(BundleError::Unfit(format!("the artifact {} {why}", digest.short())));
        }
        let name = |inside: &str| match inside {
            _ if manifest.artifact().folder => format!("objects/{digest}/{inside}"),
            _ => format!("objects/{digest}"),
        };
        if manifest.entries.is_empty() {
            append_folder(archive, &name(""))?;
        }
        for entry in &manifest.entries {
            match entry.content {
                EntryContent::EmptyFolder => append_folder(archive, &(name(&entry.path) + "/"))?,
                EntryContent::File { bytes, executable, .. } => {
                    let file = File::open(entry.place(&path))?;
                    append(archive, &name(&entry.path), (bytes, executable), file)?;
                }
            }
        }
        Ok(())
    }
}

/// Checks that the other machine unpacks a file of this name.
fn check_name(name: &str) -> Result<(), BundleError> {
    if unpack::safe_path(name).is_ok() {
        return Ok(());
    }
    let why = "has a line break, a `\\` or another character in its path that not every system can hold: give it another name";
    Err(BundleError::Unfit(format!("`{}` {why}", shown(Path::new(name)))))
}

/// Adds a file, without times and owner.
fn append(archive: &mut Builder<impl Write>, name: &str, (bytes, executable): (u64, bool), content: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_size(bytes);
    let mut content = Counted {
        content: content.take(bytes),
        bytes: 0,
    };
    archive.append_data(&mut header, name, &mut content)?;
    if content.bytes == bytes {
        Ok(())
    } else {
        Err(io::Error::other(format!("{name} changed while it was packed")))
    }
}

/// Adds an empty folder.
fn append_folder(archive: &mut Builder<impl Write>, name: &str) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, name, io::empty())
}

/// Counts what is read.
struct Counted<R> {
    content: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.content.read(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

//! Bundles: an experiment's files, records and artifacts in one archive (tar), which another machine checks before it uses anything.
//!
//! ```text
//! bundle.json                 first: the table of contents, against which everything after it is checked
//! files/<path>                the experiment and the files that it extends
//! objects/<digest>            an artifact that is a file
//! objects/<digest>/<path>     a file of one that is a folder
//! records/<key>.json          last: after the objects that the record names
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use super::object::{is_safe_path, measure};
use super::{Artifact, Store, StoreError};
use crate::hash::Digest;

/// The version of the archive's layout.
const BUNDLE_FORMAT: u32 = 1;

/// A longer table of contents is refused unread.
const MAX_CONTENTS_BYTES: u64 = 64 << 20;

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
            format: BUNDLE_FORMAT,
            experiment: experiment.to_owned(),
            ..BundleContents::default()
        };
        for (name, path) in files {
            contents.files.insert(name.clone(), std::fs::metadata(path)?.len());
        }
        let record = |key: &Digest| self.sharded("records", key, ".json");
        for key in keys {
            contents.records.insert(*key, std::fs::metadata(record(key))?.len());
        }
        for artifact in artifacts {
            let Artifact { digest, bytes, folder } = *artifact;
            contents.objects.insert(digest, ArtifactSize { bytes, folder });
        }
        let mut archive = Builder::new(out);
        let table = serde_json::to_vec(&contents).map_err(io::Error::other)?;
        append(&mut archive, "bundle.json", table.len() as u64, table.as_slice())?;
        for (name, path) in files {
            append(&mut archive, &format!("files/{name}"), contents.files[name], File::open(path)?)?;
        }
        for digest in contents.objects.keys() {
            let path = self.object(digest);
            for file in super::files_of(&path)? {
                let inside = file.strip_prefix(&path).unwrap_or(Path::new("")).to_string_lossy().into_owned();
                let name = if inside.is_empty() {
                    format!("objects/{digest}")
                } else {
                    format!("objects/{digest}/{inside}")
                };
                let opened = File::open(&file)?;
                append(&mut archive, &name, opened.metadata()?.len(), opened)?;
            }
        }
        for (key, bytes) in &contents.records {
            append(&mut archive, &format!("records/{key}.json"), *bytes, File::open(record(key))?)?;
        }
        archive.into_inner()?.flush()?;
        Ok(contents)
    }

    /// Unpacks a bundle: checks everything, moves artifacts and records into the store, and the experiment's files into `folder`. Files that
    /// exist already must have the same content. Nothing is written outside the store and the folder.
    ///
    /// # Errors
    /// If anything in it is invalid. Valid artifacts may stay in the store; no file of the experiment is written.
    pub fn unbundle(&self, bundle: impl Read, folder: &Path) -> Result<BundleContents, BundleError> {
        let workspace = self.workspace()?;
        let mut archive = Archive::new(bundle);
        let mut entries = archive.entries()?;
        let mut unpacking = Unpacking::new(read_contents(&mut entries)?, workspace.path());
        for entry in entries {
            unpacking.unpack(&mut entry?)?;
        }
        unpacking.check_complete()?;
        let Unpacking { contents, root, .. } = &unpacking;
        for (digest, size) in &contents.objects {
            let path = root.join("objects").join(digest.to_string());
            let found = measure(&path)?;
            if found.digest != *digest || found.bytes != size.bytes || found.folder != size.folder {
                return Err(refused(format!("the artifact {} has other content than its name", digest.short())));
            }
        }
        // All records are checked before anything is moved: a bundle is refused as a whole.
        let mut records = Vec::new();
        for key in contents.records.keys() {
            let bytes = std::fs::read(root.join("records").join(format!("{key}.json")))?;
            let record = self
                .validate_record(key, &bytes)
                .map_err(|error| refused(format!("the record {}: {error}", key.short())))?;
            records.push((record, bytes));
        }
        check_files(contents, root, folder)?;
        for digest in contents.objects.keys() {
            self.take(&root.join("objects").join(digest.to_string()))?;
        }
        for (record, bytes) in &records {
            let mut is_complete = true;
            for artifact in record.outputs.values() {
                is_complete &= self.has(artifact)?;
            }
            // A record exists only if all its outputs do: a stage whose outputs are not in the bundle is a miss here.
            if is_complete && self.outputs(&record.fingerprint.key())?.is_none() {
                self.write_record_bytes(&record.fingerprint.key(), bytes)?;
            }
        }
        write_files(contents, root, folder)?;
        Ok(contents.clone())
    }
}

fn refused(why: impl Into<String>) -> BundleError {
    BundleError::Refused(why.into())
}

/// Adds a file, without times and owner.
fn append(archive: &mut Builder<impl Write>, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(bytes);
    archive.append_data(&mut header, name, content.take(bytes))
}

/// Reads the table of contents.
fn read_contents<R: Read>(entries: &mut tar::Entries<'_, R>) -> Result<BundleContents, BundleError> {
    let no_bundle = || refused("it does not begin with `bundle.json`: it is not a bundle of runner");
    let entry = entries.next().ok_or_else(no_bundle)?.map_err(|_| no_bundle())?;
    if entry.path_bytes().as_ref() != b"bundle.json" || entry.header().entry_type() != EntryType::Regular {
        return Err(no_bundle());
    }
    if entry.size() > MAX_CONTENTS_BYTES {
        return Err(refused("its table of contents is too long"));
    }
    let mut text = Vec::new();
    entry.take(MAX_CONTENTS_BYTES).read_to_end(&mut text)?;
    let contents: BundleContents =
        serde_json::from_slice(&text).map_err(|error| refused(format!("its table of contents cannot be read: {error}")))?;
    if contents.format > BUNDLE_FORMAT {
        return Err(refused(format!(
            "it has format {}, but this runner reads only up to {BUNDLE_FORMAT}",
            contents.format
        )));
    }
    for name in contents.files.keys().chain([&contents.experiment]) {
        safe_path(name)?;
    }
    if !contents.files.contains_key(&contents.experiment) {
        return Err(refused("the experiment's file is not in it"));
    }
    Ok(contents)
}

/// Checks that a path leads only downwards.
fn safe_path(name: &str) -> Result<PathBuf, BundleError> {
    if is_safe_path(name) && name.len() <= 4096 && !name.chars().any(char::is_control) {
        Ok(PathBuf::from(name))
    } else {
        Err(refused(format!("`{}` is not a path that may be unpacked", name.escape_debug())))
    }
}

/// The entries that were unpacked so far, in a folder of their own.
struct Unpacking {
    contents: BundleContents,
    root: PathBuf,
    seen: BTreeSet<String>,
    /// The size of each object so far.
    bytes: BTreeMap<Digest, u64>,
}

impl Unpacking {
    fn new(contents: BundleContents, root: &Path) -> Self {
        Self {
            contents,
            root: root.to_owned(),
            seen: BTreeSet::new(),
            bytes: BTreeMap::new(),
        }
    }

    /// Unpacks one entry, which must be a file in the table of contents, and no larger than there.
    fn unpack(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<(), BundleError> {
        let name = String::from_utf8(entry.path_bytes().into_owned()).map_err(|_| refused("a path is not text"))?;
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refused(format!(
                "`{}` is a link, a device or a folder, not a file",
                name.escape_debug()
            )));
        }
        let path = safe_path(&name)?;
        let limit = self.limit(&name)?;
        if entry.size() > limit {
            return Err(refused(format!(
                "`{}` is larger than in the table of contents",
                name.escape_debug()
            )));
        }
        if !self.seen.insert(name.clone()) {
            return Err(refused(format!("`{}` occurs twice", name.escape_debug())));
        }
        if let Some(digest) = artifact_digest(&name) {
            *self.bytes.entry(digest).or_default() += entry.size();
        }
        let target = self.root.join(path);
        let nested = |error: io::Error| refused(format!("`{}` conflicts with another entry: {error}", name.escape_debug()));
        std::fs::create_dir_all(target.parent().unwrap_or(&self.root)).map_err(nested)?;
        let mut file = File::options().write(true).create_new(true).open(&target).map_err(nested)?;
        let size = entry.size();
        if io::copy(&mut entry.take(size), &mut file)? != size {
            return Err(refused(format!("`{}` ends too early", name.escape_debug())));
        }
        Ok(())
    }

    /// The largest size that an entry may have.
    fn limit(&self, name: &str) -> Result<u64, BundleError> {
        let unknown = || refused(format!("`{}` is not in the table of contents", name.escape_debug()));
        let (part, rest) = name.split_once('/').ok_or_else(unknown)?;
        let limit = match part {
            "files" => self.contents.files.get(rest).copied(),
            "records" => rest
                .strip_suffix(".json")
                .and_then(|key| self.contents.records.get(&key.parse().ok()?))
                .copied(),
            "objects" => artifact_digest(name).and_then(|digest| {
                let size = self.contents.objects.get(&digest)?;
                let so_far = self.bytes.get(&digest).copied().unwrap_or(0);
                (size.folder == rest.contains('/')).then_some(size.bytes.saturating_sub(so_far))
            }),
            _ => None,
        };
        limit.ok_or_else(unknown)
    }

    /// Checks that nothing in the table of contents is missing.
    fn check_complete(&self) -> Result<(), BundleError> {
        let files = self.contents.files.keys().map(|name| format!("files/{name}"));
        let records = self.contents.records.keys().map(|key| format!("records/{key}.json"));
        if let Some(missing) = files.chain(records).find(|name| !self.seen.contains(name)) {
            return Err(refused(format!("`{}` is missing", missing.escape_debug())));
        }
        let missing = self.contents.objects.keys().find(|digest| !self.bytes.contains_key(*digest));
        missing.map_or(Ok(()), |digest| Err(refused(format!("the artifact {} is missing", digest.short()))))
    }
}

/// The artifact that an entry belongs to.
fn artifact_digest(name: &str) -> Option<Digest> {
    name.strip_prefix("objects/")?.split('/').next()?.parse().ok()
}

/// Checks that no file of the experiment would replace a file with other content.
fn check_files(contents: &BundleContents, root: &Path, folder: &Path) -> Result<(), BundleError> {
    for name in contents.files.keys() {
        let target = folder.join(name);
        // A link in the folder could lead outside.
        let mut inside = folder.to_owned();
        for part in Path::new(name).components() {
            inside.push(part);
            if std::fs::symlink_metadata(&inside).is_ok_and(|about| about.file_type().is_symlink()) {
                return Err(refused(format!("{} is a link", inside.display())));
            }
        }
        let is_other = target.exists() && std::fs::read(&target)? != std::fs::read(root.join("files").join(name))?;
        if is_other {
            return Err(refused(format!(
                "{} exists already with other content: choose another folder",
                target.display()
            )));
        }
    }
    Ok(())
}

fn write_files(contents: &BundleContents, root: &Path, folder: &Path) -> io::Result<()> {
    for name in contents.files.keys() {
        let target = folder.join(name);
        let parent = target.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)?;
        // Complete or not at all: an incomplete file would make another attempt fail.
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        io::copy(&mut File::open(root.join("files").join(name))?, &mut file)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        file.persist(&target).map_err(|failure| failure.error)?;
    }
    Ok(())
}

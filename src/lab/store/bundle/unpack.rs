//! Unpacks a bundle: every entry is checked against the table of contents, and every artifact against its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tar::{Archive, EntryType};

use super::{BUNDLE_FORMAT, BundleContents, BundleError};
use crate::hash::Digest;
use crate::store::Store;
use crate::store::copy::is_executable;
use crate::store::manifest::is_safe_path;

/// A longer table of contents is refused unread.
const MAX_CONTENTS_BYTES: u64 = 64 << 20;

/// The length of an archive's first header.
pub const BUNDLE_HEAD: u64 = 512;

impl Store {
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
            let found = self.measure(&path)?;
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

/// Checks the first bytes of an archive, [`BUNDLE_HEAD`] of them.
///
/// # Errors
/// If it cannot be a bundle.
pub fn check_head(head: &[u8]) -> Result<(), BundleError> {
    if head.starts_with(b"bundle.json\0") {
        Ok(())
    } else {
        Err(no_bundle())
    }
}

fn no_bundle() -> BundleError {
    refused("it does not begin with `bundle.json`: it is not a bundle of runner")
}

fn refused(why: impl Into<String>) -> BundleError {
    BundleError::Refused(why.into())
}

/// Reads the table of contents.
fn read_contents<R: Read>(entries: &mut tar::Entries<'_, R>) -> Result<BundleContents, BundleError> {
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
pub(super) fn safe_path(name: &str) -> Result<PathBuf, BundleError> {
    if is_safe_path(name) && name.len() <= 4096 {
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
        if entry.header().entry_type() == EntryType::Directory && self.contents.format > 1 {
            return self.unpack_folder(&name);
        }
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
        let is_executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let mode = if is_executable { 0o755 } else { 0o644 };
        let file = File::options().write(true).create_new(true).mode(mode).open(&target);
        let mut file = file.map_err(nested)?;
        let size = entry.size();
        if io::copy(&mut entry.take(size), &mut file)? != size {
            return Err(refused(format!("`{}` ends too early", name.escape_debug())));
        }
        Ok(())
    }

    /// Makes an empty folder of an artifact.
    fn unpack_folder(&mut self, entry: &str) -> Result<(), BundleError> {
        let name = entry.strip_suffix('/').unwrap_or(entry);
        let path = safe_path(name)?;
        let folder = artifact_digest(name).filter(|digest| self.contents.objects.get(digest).is_some_and(|size| size.folder));
        let Some(digest) = folder else {
            return Err(refused(format!("`{}` is a folder, not a file", name.escape_debug())));
        };
        if !self.seen.insert(name.to_owned()) {
            return Err(refused(format!("`{}` occurs twice", name.escape_debug())));
        }
        self.bytes.entry(digest).or_default();
        std::fs::create_dir_all(self.root.join(path))
            .map_err(|error| refused(format!("`{}` conflicts with another entry: {error}", name.escape_debug())))
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
        let mut unpacked = File::open(root.join("files").join(name))?;
        let mode = if is_executable(&unpacked.metadata()?) { 0o755 } else { 0o644 };
        io::copy(&mut unpacked, &mut file)?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        file.persist(&target).map_err(|failure| failure.error)?;
    }
    Ok(())
}

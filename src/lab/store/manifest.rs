//! Manifests: what an artifact is made of, as a text. The digest of a folder is that of its manifest.
//!
//! Version 1 has a line `<digest> <bytes> <path>` for each file, sorted by path. Version 2 exists for what version 1 cannot say, so that
//! all other digests stay what they were. Its first line cannot begin a manifest of version 1, and older runners refuse it:
//!
//! ```text
//! manifest 2
//! executable <digest> <bytes> <path>
//! file <digest> <bytes> <path>
//! folder <path>                       a folder without anything in it
//! ```
//!
//! It is used for folders that have an executable file or an empty folder in them, for empty folders, and for two kinds of single files,
//! whose only line has no path: executables, and files that are themselves manifests, which would otherwise have a folder's digest. The
//! digest of any other single file is that of its content.

#[cfg(test)]
mod tests;

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

use super::shape::Shape;
use super::{Artifact, StoreError};
use crate::hash::{self, Digest, NotADigest};

/// The newest version.
pub(super) const MANIFEST_VERSION: u32 = 2;

/// The first line of version 2.
const HEADING: &str = "manifest 2\n";

/// The largest manifest.
pub(super) const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// A longer path is refused: bundles and file systems take 4096 bytes, with the path of the store before it.
const MAX_PATH_BYTES: usize = 3900;

/// What an artifact is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Sorted by path, folder by folder.
    pub entries: Vec<ManifestEntry>,
    folder: bool,
    version: u32,
}

/// A file or an empty folder of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ManifestEntry {
    /// The path in the artifact; empty for an artifact that is a file.
    pub path: String,
    pub content: EntryContent,
}

/// What is at a path of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryContent {
    File { digest: Digest, bytes: u64, executable: bool },
    EmptyFolder,
}

/// A manifest is not one of a folder, or must not be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("its list of files is not text")]
    NotText,
    #[error("a line of its list is `{0}`")]
    Line(String),
    #[error("{0}")]
    Digest(String),
    #[error("a file has `{0}` bytes")]
    Bytes(String),
    #[error("a file has the path `{0}`")]
    Path(String),
    #[error("it lists `{0}` twice")]
    Twice(String),
    #[error("its list is not sorted: `{0}` is in the wrong place")]
    Order(String),
    #[error("its list is not written as the runner writes it")]
    Form,
    #[error("its files are too large")]
    TooLarge,
    #[error("its files have {found} bytes instead of {expected}")]
    Total { found: u64, expected: u64 },
}

impl Manifest {
    /// Reads and hashes the file or folder at `path`. `keeps_modes` tells whether its file system knows executable files; it is asked only
    /// if there seems to be one.
    ///
    /// # Errors
    /// If something in it cannot be read, is neither file nor folder, or has a name that no artifact may have.
    pub(super) fn of(path: &Path, keeps_modes: &dyn Fn() -> bool) -> Result<Self, StoreError> {
        let read = |error| StoreError::io("read", path)(error);
        let (mut entries, mut folder) = (Vec::new(), false);
        // A folder in which nothing has been found so far, and its depth.
        let mut bare: Option<(usize, String)> = None;
        let empty_folder = |path| ManifestEntry {
            path,
            content: EntryContent::EmptyFolder,
        };
        for entry in WalkDir::new(path).follow_root_links(false).sort_by_file_name() {
            let entry = entry.map_err(|error| read(error.into()))?;
            let depth = entry.depth();
            entries.extend(bare.take().filter(|(above, _)| depth <= *above).map(|(_, path)| empty_folder(path)));
            let name = name_in(path, entry.path())?;
            if entry.file_type().is_dir() {
                folder |= depth == 0;
                bare = Some((depth, name)).filter(|_| depth > 0);
                continue;
            }
            if !entry.file_type().is_file() {
                return Err(StoreError::NoFile { path: entry.into_path() });
            }
            let about = entry.metadata().map_err(|error| read(error.into()))?;
            let content = EntryContent::File {
                digest: hash::file(entry.path()).map_err(StoreError::io("read", entry.path()))?,
                bytes: about.len(),
                executable: about.permissions().mode() & 0o111 != 0 && keeps_modes(),
            };
            entries.push(ManifestEntry { path: name, content });
        }
        entries.extend(bare.map(|(_, path)| empty_folder(path)));
        let mut manifest = Self::new(entries, folder);
        if !folder && manifest.version == 1 && is_manifest(path, manifest.bytes()).map_err(read)? {
            manifest.version = MANIFEST_VERSION;
        }
        Ok(manifest)
    }

    /// The manifest of an executable file.
    pub(super) fn executable(digest: Digest, bytes: u64) -> Self {
        let content = EntryContent::File {
            digest,
            bytes,
            executable: true,
        };
        let path = String::new();
        Self::new(vec![ManifestEntry { path, content }], false)
    }

    /// The digest of the content of an artifact that is a file, and whether it is executable.
    pub(super) fn single_file(&self) -> Option<(Digest, bool)> {
        match self.entries.as_slice() {
            [
                ManifestEntry {
                    content: EntryContent::File { digest, executable, .. },
                    ..
                },
            ] if !self.folder => Some((*digest, *executable)),
            _ => None,
        }
    }

    /// With the lowest version that can say this.
    fn new(entries: Vec<ManifestEntry>, folder: bool) -> Self {
        let is_plain = |entry: &ManifestEntry| matches!(entry.content, EntryContent::File { executable: false, .. });
        let version = if entries.iter().all(is_plain) && !entries.is_empty() {
            1
        } else {
            MANIFEST_VERSION
        };
        Self { entries, folder, version }
    }

    /// Parses the manifest of a folder, or of a file whose digest is that of a manifest. A path must stay inside the folder, and another
    /// text for the same folder is refused: there is one digest for each.
    ///
    /// # Errors
    /// If it is not a manifest.
    pub(super) fn parse(text: &[u8], folder: bool) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(text).map_err(|_| ManifestError::NotText)?;
        let (version, lines) = text.strip_prefix(HEADING).map_or((1, text), |lines| (2, lines));
        let mut entries: Vec<ManifestEntry> = Vec::new();
        for line in lines.lines() {
            let entry = parse_line(line, version, folder)?;
            if let Some(last) = entries.last() {
                check_order(&last.path, &entry.path)?;
            }
            entries.push(entry);
        }
        let mut manifest = Self::new(entries, folder);
        if !folder {
            manifest.version = MANIFEST_VERSION;
        }
        let is_one_file = matches!(
            manifest.entries.as_slice(),
            [ManifestEntry {
                content: EntryContent::File { .. },
                ..
            }]
        );
        if manifest.text() == text && (folder || is_one_file) {
            Ok(manifest)
        } else {
            Err(ManifestError::Form)
        }
    }

    /// Checks that the files have this size together.
    ///
    /// # Errors
    /// If they do not.
    pub(super) fn check_total(&self, expected: u64) -> Result<(), ManifestError> {
        let mut found = 0u64;
        for entry in &self.entries {
            found = found.checked_add(entry.content.bytes()).ok_or(ManifestError::TooLarge)?;
        }
        if found == expected {
            Ok(())
        } else {
            Err(ManifestError::Total { found, expected })
        }
    }

    /// The artifact that has this manifest.
    pub(super) fn artifact(&self) -> Artifact {
        let digest = match self.single_file() {
            Some((digest, _)) if self.version == 1 => digest,
            _ => Digest::of(self.text().as_bytes()),
        };
        Artifact {
            digest,
            bytes: self.bytes(),
            folder: self.folder,
            manifest: self.version,
            shape: self.folder.then(|| self.shape()),
        }
    }

    /// The names and sizes of everything in the folder.
    fn shape(&self) -> u32 {
        let mut shape = Shape::default();
        for entry in &self.entries {
            match entry.content {
                EntryContent::File { bytes, .. } => shape.add_file(entry.path.as_bytes(), bytes),
                EntryContent::EmptyFolder => shape.add_empty_folder(entry.path.as_bytes()),
            }
        }
        shape.number()
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.content.bytes()).sum()
    }

    /// The text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if self.version > 1 {
            text.push_str(HEADING);
        }
        for ManifestEntry { path, content } in &self.entries {
            let word = match content {
                _ if self.version == 1 => "",
                EntryContent::File { executable: true, .. } => "executable ",
                EntryContent::File { .. } => "file ",
                EntryContent::EmptyFolder => "folder",
            };
            text.push_str(word);
            if let EntryContent::File { digest, bytes, .. } = content {
                text.push_str(&format!("{digest} {bytes}"));
            }
            if self.folder {
                text.push(' ');
                text.push_str(path);
            }
            text.push('\n');
        }
        text
    }
}

impl ManifestEntry {
    /// Where the entry is, of an artifact at `root`.
    pub(super) fn place(&self, root: &Path) -> PathBuf {
        if self.path.is_empty() {
            root.to_owned()
        } else {
            root.join(&self.path)
        }
    }
}

impl EntryContent {
    fn bytes(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::EmptyFolder => 0,
        }
    }
}

fn parse_line(line: &str, version: u32, folder: bool) -> Result<ManifestEntry, ManifestError> {
    let wrong = || ManifestError::Line(line.escape_debug().to_string());
    let (word, rest) = if version == 1 {
        ("file", line)
    } else {
        line.split_once(' ').ok_or_else(wrong)?
    };
    let (path, content) = if word == "folder" {
        (rest, EntryContent::EmptyFolder)
    } else if word == "file" || word == "executable" {
        let mut words = rest.splitn(3, ' ');
        let (digest, bytes) = (words.next().ok_or_else(wrong)?, words.next().ok_or_else(wrong)?);
        let path = if folder { words.next().ok_or_else(wrong)? } else { "" };
        let content = EntryContent::File {
            digest: digest
                .parse()
                .map_err(|error: NotADigest| ManifestError::Digest(error.to_string()))?,
            bytes: bytes.parse().map_err(|_| ManifestError::Bytes(bytes.escape_debug().to_string()))?,
            executable: word == "executable",
        };
        (path, content)
    } else {
        return Err(wrong());
    };
    if folder && !is_safe_path(path) {
        return Err(ManifestError::Path(path.escape_debug().to_string()));
    }
    Ok(ManifestEntry {
        path: path.to_owned(),
        content,
    })
}

/// Checks that `path` comes after `last`, and is not inside it.
fn check_order(last: &str, path: &str) -> Result<(), ManifestError> {
    if path == last {
        return Err(ManifestError::Twice(path.to_owned()));
    }
    let is_inside = path.strip_prefix(last).is_some_and(|rest| rest.starts_with('/'));
    if is_inside || last.split('/').gt(path.split('/')) {
        return Err(ManifestError::Order(path.to_owned()));
    }
    Ok(())
}

/// Whether the file at `path` has the text of a manifest.
fn is_manifest(path: &Path, bytes: u64) -> std::io::Result<bool> {
    if bytes > MAX_MANIFEST_BYTES {
        return Ok(false);
    }
    let mut begin = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(std::fs::File::open(path)?, 66), &mut begin)?;
    let is_line = begin.len() == 66 && begin.iter().take(64).all(u8::is_ascii_hexdigit) && begin.get(64) == Some(&b' ');
    if !(is_line || begin.starts_with(HEADING.as_bytes())) {
        return Ok(false);
    }
    let text = std::fs::read(path)?;
    Ok([true, false].into_iter().any(|folder| Manifest::parse(&text, folder).is_ok()))
}

/// The path of `entry` in the artifact at `root`, if it is one that every store, remote and bundle can hold.
fn name_in(root: &Path, entry: &Path) -> Result<String, StoreError> {
    let inside = entry.strip_prefix(root).unwrap_or(entry);
    let refused = |problem| StoreError::Name {
        name: shown(inside),
        problem,
    };
    let name = inside.to_str().ok_or_else(|| refused("is not UTF-8"))?;
    if name.chars().any(char::is_control) {
        Err(refused("has a line break or another control character"))
    } else if name.contains('\\') {
        Err(refused("has a `\\`"))
    } else if name.len() > MAX_PATH_BYTES {
        Err(refused("is too long"))
    } else {
        Ok(name.to_owned())
    }
}

/// A path for a message: without characters that a terminal would follow.
pub(super) fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() || letter == '\\' {
                shown.extend(letter.escape_default());
            } else {
                shown.push(letter);
            }
        }
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

/// Whether a path from elsewhere leads only downwards, is written in the usual way, and is one that artifacts may have.
pub(super) fn is_safe_path(name: &str) -> bool {
    let path = Path::new(name);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    // `a//b` and `./a` are other ways to write a path: their components, joined, are different.
    let is_clean = path.components().collect::<PathBuf>().as_os_str() == name;
    is_plain && is_clean && !name.is_empty() && !name.contains('\\') && !name.chars().any(char::is_control)
}

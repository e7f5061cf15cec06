//! The files of a source on this machine: which there are, and their digests.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::{DigestAlgorithm, Source, SourcePin};
use crate::hash::{self, Digest, hex};

/// What a source cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum UnfitFile {
    /// A pipe, a device: reading one may never end, and gives something else each time.
    #[error("{} is {what}, neither a file nor a folder", path.display())]
    Special { path: PathBuf, what: &'static str },
    #[error("{} is a folder, not a file", .0.display())]
    Folder(PathBuf),
    #[error("the name of {} is not UTF-8; rename it", .0.display())]
    NotUtf8(PathBuf),
    #[error("the name {0:?} has a control character or `\\` in it; rename the file")]
    Name(String),
    #[error("the link {} leads back to {}, a folder that it is in", link.display(), folder.display())]
    Circle { link: PathBuf, folder: PathBuf },
    #[error("the link {} leads to nothing", .0.display())]
    Dangling(PathBuf),
}

impl UnfitFile {
    /// What an error of [`Source::list`] says, where it is this.
    pub fn in_error(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<UnfitFile> for io::Error {
    fn from(unfit: UnfitFile) -> Self {
        Self::new(io::ErrorKind::InvalidInput, unfit)
    }
}

/// The files of a source, as they were when they were listed.
#[derive(Debug)]
pub struct SourceFiles {
    place: PathBuf,
    files: Vec<(String, PathBuf)>,
    stats: Vec<FileStat>,
}

/// What changes when a file is written or replaced.
type FileStat = (u64, u64, u64, i64, i64);

impl SourceFiles {
    /// The name and the path of each, by name.
    pub fn files(&self) -> &[(String, PathBuf)] {
        &self.files
    }

    /// Where the source is.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The first file that was written or replaced since they were listed, or is gone.
    pub fn changed(&self) -> Option<&str> {
        let mut listed = self.files.iter().zip(&self.stats);
        let differs =
            |((_, path), stat): &(&(String, PathBuf), &FileStat)| !std::fs::metadata(path).is_ok_and(|now| file_stat(&now) == **stat);
        listed.find(differs).map(|((name, _), _)| name.as_str())
    }
}

fn file_stat(about: &Metadata) -> FileStat {
    (about.dev(), about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}

impl Source {
    /// The files of the source, which is at `place`: those it names, or the file that it is, or all in the folder that are not hidden; by
    /// name. Links are followed.
    ///
    /// # Errors
    /// When a file is missing, a folder cannot be read, or something is neither file nor folder.
    pub fn list(&self, place: &Path) -> io::Result<Vec<(String, PathBuf)>> {
        if !std::fs::metadata(place)?.is_dir() {
            require_file(place)?;
            let name = place.file_name().map(|name| text(Path::new(name), place)).transpose()?;
            return Ok(vec![(name.unwrap_or_default(), place.to_owned())]);
        }
        let mut files = Vec::new();
        if self.files.is_empty() {
            let is_shown = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
            for entry in WalkDir::new(place).follow_links(true).into_iter().filter_entry(is_shown) {
                let entry = match entry {
                    Ok(entry) => entry,
                    // Editors keep their locks as hidden links to nothing.
                    Err(error) if error.path().is_some_and(|path| is_hidden_in(path, place)) => continue,
                    Err(error) => return Err(unreadable(error)),
                };
                if entry.file_type().is_dir() {
                    continue;
                }
                require_file(entry.path())?;
                let name = entry.path().strip_prefix(place).unwrap_or(entry.path());
                files.push((text(name, entry.path())?, entry.path().to_owned()));
            }
        }
        for name in &self.files {
            let path = place.join(name);
            require_file(&path).map_err(|error| match UnfitFile::in_error(&error) {
                Some(_) => error,
                None if error.kind() == io::ErrorKind::NotFound && name.contains(['*', '?']) => {
                    let message = format!("no file is called `{name}`: `files` has names, not patterns");
                    io::Error::new(error.kind(), message)
                }
                None => io::Error::new(error.kind(), format!("{name}: {error}")),
            })?;
            files.push((name.clone(), path));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Whether the files of the source, which is at `place`, are all those of a folder that `inner` is in, or is.
    pub fn would_list(&self, place: &Path, inner: &Path) -> bool {
        let (Ok(place), Ok(inner)) = (place.canonicalize(), inner.canonicalize()) else {
            return false;
        };
        self.files.is_empty() && inner.starts_with(&place) && !is_hidden_in(&inner, &place)
    }

    /// The files as [`Self::list`] finds them, with what tells later whether one of them was written since.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn listed(&self, place: &Path) -> io::Result<SourceFiles> {
        let files = self.list(place)?;
        let stats = files.iter().map(|(_, path)| Ok(file_stat(&std::fs::metadata(path)?)));
        Ok(SourceFiles {
            place: place.to_owned(),
            stats: stats.collect::<io::Result<_>>()?,
            files,
        })
    }

    /// The digest of what is at `place`, read now.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn digest(&self, place: &Path, algorithm: DigestAlgorithm) -> io::Result<SourcePin> {
        self.digest_of(place, algorithm, &self.list(place)?)
    }

    /// The digest of the source at `place` if these are its files, read now.
    ///
    /// # Errors
    /// When a file is missing or cannot be read.
    pub fn digest_of(&self, place: &Path, algorithm: DigestAlgorithm, files: &[(String, PathBuf)]) -> io::Result<SourcePin> {
        let digest = |path: &Path| match algorithm {
            DigestAlgorithm::Sha256 => sha256(path),
            DigestAlgorithm::Blake3 => hash::file(path).map(|digest| digest.to_string()),
        };
        let digests = files.iter().map(|(name, path)| Ok((name.clone(), digest(path)?)));
        Ok(self.together(place, algorithm, &digests.collect::<io::Result<_>>()?))
    }

    /// The digest of the source at `place` whose files have these, by name: that of the file, or where it is several that of what
    /// `sha256sum` or `b3sum` prints for them.
    pub fn together<D: fmt::Display>(&self, place: &Path, algorithm: DigestAlgorithm, digests: &BTreeMap<String, D>) -> SourcePin {
        let is_file = !place.is_dir() || self.files.len() == 1;
        let digest = match digests.first_key_value() {
            Some((_, digest)) if is_file && digests.len() == 1 => digest.to_string(),
            _ => {
                let lines: String = digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
                match algorithm {
                    DigestAlgorithm::Sha256 => hex(&Sha256::digest(lines.as_bytes())),
                    DigestAlgorithm::Blake3 => Digest::of(lines.as_bytes()).to_string(),
                }
            }
        };
        SourcePin { algorithm, digest }
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether a file or folder of `place` is hidden, or in one that is.
fn is_hidden_in(path: &Path, place: &Path) -> bool {
    path.strip_prefix(place).unwrap_or(path).iter().any(is_hidden)
}

/// A file's name within its source. Names with control characters could make two sources look alike: their names are lines of what is
/// hashed.
fn text(name: &Path, path: &Path) -> Result<String, UnfitFile> {
    let name = name.to_str().ok_or_else(|| UnfitFile::NotUtf8(path.to_owned()))?;
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Err(UnfitFile::Name(name.to_owned()));
    }
    Ok(name.to_owned())
}

/// Refuses what is no file: a program that reads a pipe may wait for ever.
fn require_file(path: &Path) -> io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(if kind.is_dir() {
        UnfitFile::Folder(path)
    } else {
        UnfitFile::Special { path, what: what(kind) }
    }
    .into())
}

fn what(kind: FileType) -> &'static str {
    if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// What keeps a folder from being listed.
fn unreadable(error: walkdir::Error) -> io::Error {
    let path = error.path().map(Path::to_owned).unwrap_or_default();
    if let Some(folder) = error.loop_ancestor() {
        let folder = folder.to_owned();
        return UnfitFile::Circle { link: path, folder }.into();
    }
    let is_missing = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    if is_missing && path.is_symlink() {
        return UnfitFile::Dangling(path).into();
    }
    match error.io_error() {
        Some(cause) => io::Error::new(cause.kind(), format!("{}: {cause}", path.display())),
        None => error.into(),
    }
}

fn sha256(path: &Path) -> io::Result<String> {
    require_file(path)?;
    let mut file = File::open(path)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What is listed of `place` by a source that names `files`, or why nothing is.
    fn names(files: &[&str], place: &Path) -> String {
        let files = files.iter().map(|&name| name.to_owned()).collect();
        let source = Source {
            files,
            ..Source::default()
        };
        let listed = source.list(place);
        let names = listed.map(|files| files.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" "));
        names.unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn files_are_listed_by_name_and_hidden_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b", "a/c", ".git/x", "a/.y"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        assert_eq!(names(&[], folder.path()), "a/c b");
        assert_eq!(names(&["b", "a/c"], folder.path()), "a/c b");
        assert_eq!(names(&["a/c"], &folder.path().join("b")), "b", "a file in place of some");
        assert!(names(&["a/d"], folder.path()).starts_with("a/d: "));
        assert_eq!(
            names(&["a/*"], folder.path()),
            "no file is called `a/*`: `files` has names, not patterns"
        );
    }

    #[test]
    fn links_are_followed_and_what_is_no_file_is_refused() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("x"), "").unwrap();
        let said = |make: &dyn Fn(&Path)| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("in")).unwrap();
            make(folder.path());
            let place = folder.path().display().to_string();
            names(&[], folder.path()).replace(&place, "PLACE")
        };
        let link = |to: &Path, name: &'static str| {
            let to = to.to_owned();
            move |folder: &Path| symlink(&to, folder.join(name)).unwrap()
        };
        let reports = [
            said(&link(&outside.path().join("x"), "file")),
            said(&link(outside.path(), "in/folder")),
            said(&link(Path::new(".."), "in/circle")),
            said(&link(Path::new("nothing"), "in/dangling")),
            said(&link(Path::new("nothing"), "in/.#lock")),
            said(&link(Path::new(".."), "in/.circle")),
            said(&link(Path::new("/dev/null"), "in/device")),
            said(&|folder| drop(UnixListener::bind(folder.join("in/socket")).unwrap())),
            said(&|folder| std::fs::write(folder.join("a\nb"), "").unwrap()),
            said(&|folder| std::fs::write(folder.join("a\\b"), "").unwrap()),
            said(&|folder| std::fs::write(folder.join(OsStr::from_bytes(b"a\xff")), "").unwrap()),
        ];
        insta::assert_snapshot!(reports.join("\n"), @r#"
        file
        in/folder/x
        the link PLACE/in/circle leads back to PLACE, a folder that it is in
        the link PLACE/in/dangling leads to nothing


        PLACE/in/device is a device, neither a file nor a folder
        PLACE/in/socket is a socket, neither a file nor a folder
        the name "a\nb" has a control character or `\` in it; rename the file
        the name "a\\b" has a control character or `\` in it; rename the file
        the name of PLACE/a� is not UTF-8; rename it
        "#);
        assert_eq!(
            names(&[], Path::new("/dev/zero")),
            "/dev/zero is a device, neither a file nor a folder"
        );
        assert_eq!(names(&["dev"], Path::new("/")), "/dev is a folder, not a file");
    }

    #[test]
    fn what_was_written_since_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "1").unwrap();
        let listed = Source::default().listed(folder.path()).unwrap();
        assert_eq!(listed.changed(), None);
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(folder.path().join("new"), "1").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
        assert_eq!(listed.changed(), Some("a"), "another file of the same size and time");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(listed.changed(), Some("a"));
    }
}

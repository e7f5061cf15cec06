//! Files that a source cannot hold.

use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What a source cannot hold.
#[derive(Debug, thiserror::Error)]
pub enum UnfitFile {
    /// A pipe, a device: reading one may never end, and gives something else each time.
    #[error("{} is {what}, neither a file nor a folder", path.display())]
    Special { path: PathBuf, what: &'static str },
    #[error("{} is a folder, not a file; `NAME/**` takes the files in it", .0.display())]
    Folder(PathBuf),
    #[error("the name of {} is not UTF-8; rename it", .0.display())]
    NotUtf8(PathBuf),
    #[error("the name {0:?} has a control character or `\\` in it; rename the file")]
    Name(String),
    #[error("the link {} leads back to {}, a folder that it is in", link.display(), folder.display())]
    Circle { link: PathBuf, folder: PathBuf },
    #[error("the link {} leads to nothing", .0.display())]
    Dangling(PathBuf),
    #[error("no file fits `{0}` in `files` (what is ignored, hidden or never taken does not count, and `**/` stands for any folders)")]
    NoMatch(String),
    /// Where most of them are is `within`.
    #[error(
        "{} has more than {most} files{within}, which is more than code has: leave out by `.gitignore` what is no code, or say in `files` \
         which are meant",
        folder.display()
    )]
    TooMany { folder: PathBuf, most: usize, within: String },
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

/// A file's name within its source. Names with control characters could make two sources look alike: their names are lines of what is
/// hashed.
pub(super) fn text(name: &Path, path: &Path) -> Result<String, UnfitFile> {
    let name = name.to_str().ok_or_else(|| UnfitFile::NotUtf8(path.to_owned()))?;
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return Err(UnfitFile::Name(name.to_owned()));
    }
    Ok(name.to_owned())
}

/// Refuses what is no file: a program that reads a pipe may wait for ever.
pub(super) fn require_file(path: &Path) -> io::Result<()> {
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
pub(super) fn unreadable(error: walkdir::Error) -> io::Error {
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

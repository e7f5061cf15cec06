//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::work;

/// Writes `bytes` to `path`: a temporary file in `tmp` (same file system), synced, then renamed, then its folder synced. A reader
/// sees the old content or the new, and after a power cut it is one of the two.
///
/// # Errors
/// When the file system says no; `path` is as it was.
pub fn write(tmp: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = work::builder().tempfile_in(tmp)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    persist(file, path)
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    file.persist(path).map_err(|failure| failure.error)?;
    sync_folder(folder)
}

/// Makes renames in `folder` survive a power cut.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

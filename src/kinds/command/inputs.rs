//! The inputs of a program: a read-only folder of its own, in which it cannot change what the store has.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use lab::hash::{self, Digest};
use lab::source::SOURCE;
use lab::stage::{StageContext, StageError, failed};
use lab::store::{remove_folder, shares_blocks};

/// The bytes of its inputs that a stage copies where the file system cannot share blocks. Larger files are links: then what a program does
/// to their modes reaches the store, and the stage fails.
const COPIED_BYTES: u64 = 64 << 20;

/// The inputs of one program. The folder is removed when dropped.
pub(super) struct InputFolder {
    folder: PathBuf,
    /// In the order of the ports.
    pub(super) ports: Vec<InputPort>,
}

/// The artifacts at one input.
pub(super) struct InputPort {
    pub(super) name: String,
    /// In the order of the references.
    pub(super) paths: Vec<PathBuf>,
    artifacts: Vec<InputArtifact>,
}

/// An artifact as it was when the program began.
struct InputArtifact {
    path: PathBuf,
    digest: Option<Digest>,
    files: Vec<InputFile>,
}

struct InputFile {
    path: PathBuf,
    before: FileState,
    /// Whether it is a file of the store, under another name.
    is_linked: bool,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of a link, the mode: the store and other stages see it too.
    mode: Option<u32>,
}

impl FileState {
    fn of(about: &Metadata, is_linked: bool) -> Self {
        Self {
            mode: is_linked.then(|| about.mode() & 0o7777),
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }
}

impl InputFolder {
    /// Lays out the inputs of the stage in `folder`, as copies, which share their blocks where the file system can. Where it cannot and the
    /// sandbox guards the folder, large files are links to those of the store. Where nothing guards it, its folders are locked. Folders that
    /// are guarded anyway are not: a copy of one would be locked too.
    pub(super) fn new(folder: PathBuf, context: &StageContext<'_>, is_guarded: bool) -> Result<Self, StageError> {
        remove(&folder);
        let mut inputs = Self { folder, ports: Vec::new() };
        let laid = inputs.lay_out(context, is_guarded);
        laid.map_err(|error| failed(format!("cannot lay out the inputs in {}: {error}", inputs.folder.display())))?;
        Ok(inputs)
    }

    fn lay_out(&mut self, context: &StageContext<'_>, is_guarded: bool) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        // Links only where the program cannot write to them.
        let mut copied = if is_guarded { Some(COPIED_BYTES) } else { None };
        for (name, objects) in context.inputs.iter().filter(|(name, _)| *name != SOURCE) {
            let place = self.folder.join(name);
            let paths = artifact_paths(&place, objects.len());
            if objects.len() != 1 {
                fs::create_dir(&place)?;
            }
            let digests = context.digests.get(name);
            let mut artifacts = Vec::with_capacity(objects.len());
            for (number, (object, path)) in objects.iter().zip(&paths).enumerate() {
                let digest = digests.and_then(|digests| digests.get(number)).copied();
                artifacts.push(InputArtifact {
                    path: path.clone(),
                    digest,
                    files: bring(object, path, digest, copied.as_mut())?,
                });
            }
            if objects.len() != 1 && !is_guarded {
                lock(&place)?;
            }
            self.ports.push(InputPort {
                name: name.clone(),
                paths,
                artifacts,
            });
        }
        if is_guarded { Ok(()) } else { lock(&self.folder) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the inputs are what they were when the program began.
    ///
    /// # Errors
    /// A message that names the first one that is not.
    pub(super) fn check(&self) -> Result<(), StageError> {
        for port in &self.ports {
            for artifact in &port.artifacts {
                if !artifact.is_unchanged() {
                    return Err(failed(format!(
                        "input `{}` was changed while the program ran ({}): inputs are read only; write to a copy of it",
                        port.name,
                        artifact.path.display()
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Drop for InputFolder {
    fn drop(&mut self) {
        // The files of the store keep the permissions that they had.
        let artifacts = self.ports.iter().flat_map(|port| &port.artifacts);
        for file in artifacts.flat_map(|artifact| &artifact.files) {
            let (Some(mode), Ok(now)) = (file.before.mode, fs::symlink_metadata(&file.path)) else {
                continue;
            };
            if now.is_file() && now.ino() == file.before.inode && now.mode() & 0o7777 != mode {
                let _ = fs::set_permissions(&file.path, Permissions::from_mode(mode));
            }
        }
        remove(&self.folder);
    }
}

impl InputArtifact {
    fn is_unchanged(&self) -> bool {
        let mut is_touched = false;
        for file in &self.files {
            let Ok(now) = fs::symlink_metadata(&file.path) else { return false };
            let now = FileState::of(&now, file.is_linked);
            if now == file.before {
                continue;
            }
            // The store renews the time of an object that is made once more: of a file, or of a folder itself.
            let only_time = FileState {
                modified: file.before.modified,
                ..now
            };
            if only_time != file.before {
                return false;
            }
            is_touched = true;
        }
        !is_touched || (self.path.is_file() && hash::file(&self.path).ok() == self.digest)
    }
}

/// Where the artifacts of the input at `place` are: with a number each where there are several, so that they sort as they are written.
pub(super) fn artifact_paths(place: &Path, count: usize) -> Vec<PathBuf> {
    let width = count.saturating_sub(1).to_string().len();
    match count {
        1 => vec![place.to_owned()],
        _ => (0..count).map(|number| place.join(format!("{number:0width$}"))).collect(),
    }
}

/// Brings the object of an artifact to `to`: its folders are made, its files copied. `left` is the number of bytes that may still be copied
/// before files are linked; without it all are copied, and the folders locked.
fn bring(object: &Path, to: &Path, digest: Option<Digest>, mut left: Option<&mut u64>) -> io::Result<Vec<InputFile>> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(object) {
        let entry = entry?;
        let inside = entry.path().strip_prefix(object).unwrap_or(entry.path());
        let is_whole = inside.as_os_str().is_empty();
        let target = if is_whole { to.to_owned() } else { to.join(inside) };
        if entry.file_type().is_dir() {
            fs::create_dir(&target)?;
            folders.push(target);
            continue;
        }
        let mode = mode_of(entry.path(), digest.filter(|_| is_whole))?;
        let is_linked = bring_file(entry.path(), &target, mode, left.as_deref_mut())?;
        files.push(InputFile {
            before: FileState::of(&fs::symlink_metadata(&target)?, is_linked),
            is_linked,
            path: target,
        });
    }
    if left.is_none() {
        folders.iter().try_for_each(|folder| lock(folder))?;
    }
    Ok(files)
}

/// The mode that a file of the store has by its artifact, whatever a program that was killed has made of it. `digest` is that of an artifact
/// which is this file: only of one that is not executable is it that of the content.
fn mode_of(file: &Path, digest: Option<Digest>) -> io::Result<u32> {
    if fs::symlink_metadata(file)?.mode() & 0o111 == 0 {
        return Ok(0o444);
    }
    let is_plain = digest.is_some() && hash::file(file).ok() == digest;
    Ok(if is_plain { 0o444 } else { 0o555 })
}

/// Brings one file. Returns whether it is a link. Where a link is not possible (another file system or owner, too many links), a copy does.
fn bring_file(from: &Path, to: &Path, mode: u32, left: Option<&mut u64>) -> io::Result<bool> {
    let mut source = File::open(from)?;
    let bytes = source.metadata()?.len();
    let target = File::options().write(true).create_new(true).open(to)?;
    let is_shared = shares_blocks(&target, &source);
    if let (Some(left), false) = (left, is_shared) {
        if bytes > *left {
            fs::remove_file(to)?;
            if link(from, to, mode).is_ok() {
                return Ok(true);
            }
            return copy(
                &mut source,
                &File::options().write(true).create(true).truncate(true).open(to)?,
                mode,
            )
            .map(|()| false);
        }
        *left -= bytes;
    }
    if is_shared {
        target.set_permissions(Permissions::from_mode(mode))?;
    } else {
        copy(&mut source, &target, mode)?;
    }
    Ok(false)
}

/// Links a file, which has this mode then.
fn link(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    if fs::symlink_metadata(from)?.mode() & 0o7777 != mode {
        fs::set_permissions(from, Permissions::from_mode(mode))?;
    }
    fs::hard_link(from, to)
}

/// Gives a new file the content of another.
fn copy(source: &mut File, mut target: &File, mode: u32) -> io::Result<()> {
    io::copy(source, &mut target)?;
    target.set_permissions(Permissions::from_mode(mode))
}

/// Nothing is made, removed or renamed in the folder.
fn lock(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o555))
}

/// Removes a folder whose folders are locked, if it is there.
pub(super) fn remove(folder: &Path) {
    // If this fails, what needs the place says so.
    let _ = remove_folder(folder);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn only_large_files_are_links_and_have_the_mode_of_their_artifact() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("object");
        fs::write(&object, "content").unwrap();
        let digest = hash::file(&object).ok();
        for (left, links) in [(Some(7), 1), (Some(6), 2), (None, 1)] {
            // As a program that was killed has left it.
            fs::set_permissions(&object, Permissions::from_mode(0o755)).unwrap();
            let (to, mut left) = (folder.path().join("input"), left);
            let files = bring(&object, &to, digest, left.as_mut()).unwrap();
            // Where the file system shares blocks, nothing is a link.
            let is_linked = files[0].is_linked;
            assert!(!is_linked || links == 2);
            assert_eq!(fs::metadata(&to).unwrap().nlink(), if is_linked { 2 } else { 1 });
            assert_eq!(mode(&to), 0o444);
            assert_eq!(mode(&object), if is_linked { 0o444 } else { 0o755 });
            let artifact = InputArtifact {
                path: to.clone(),
                digest,
                files,
            };
            assert!(artifact.is_unchanged());
            fs::set_permissions(&to, Permissions::from_mode(0o555)).unwrap();
            assert_eq!(artifact.is_unchanged(), !is_linked, "its mode is that of the store's file");
            fs::remove_file(&to).unwrap();
        }
        assert_eq!(
            mode_of(&object, None).unwrap(),
            0o555,
            "a file of a folder, or an executable artifact"
        );
    }
}

//! The inputs of a program: a read-only folder of its own, in which it cannot change what the store has.

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use lab::hash::{self, Digest};
use lab::source::SOURCE;
use lab::stage::{StageContext, StageError, failed};

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
    mode: u32,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileState {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl From<&Metadata> for FileState {
    fn from(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
        }
    }
}

impl InputFolder {
    /// Lays out the inputs of the stage in `folder`: where the sandbox guards it, as links to the files of the store; else as copies, which
    /// share their blocks where the file system can, in folders that are locked. Folders that are guarded anyway are not: a copy of one would
    /// be locked too.
    pub(super) fn new(folder: PathBuf, context: &StageContext<'_>, is_guarded: bool) -> Result<Self, StageError> {
        remove(&folder);
        let mut inputs = Self { folder, ports: Vec::new() };
        let laid = inputs.lay_out(context, is_guarded);
        laid.map_err(|error| failed(format!("cannot lay out the inputs in {}: {error}", inputs.folder.display())))?;
        Ok(inputs)
    }

    fn lay_out(&mut self, context: &StageContext<'_>, is_guarded: bool) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for (name, objects) in context.inputs.iter().filter(|(name, _)| *name != SOURCE) {
            let place = self.folder.join(name);
            let width = objects.len().saturating_sub(1).to_string().len();
            // With a number each where there are several, so that they sort as they are written.
            let paths: Vec<PathBuf> = match objects.as_slice() {
                [_] => vec![place.clone()],
                _ => (0..objects.len()).map(|number| place.join(format!("{number:0width$}"))).collect(),
            };
            if objects.len() != 1 {
                fs::create_dir(&place)?;
            }
            let digests = context.digests.get(name);
            let mut artifacts = Vec::with_capacity(objects.len());
            for (number, (object, path)) in objects.iter().zip(&paths).enumerate() {
                artifacts.push(InputArtifact {
                    path: path.clone(),
                    digest: digests.and_then(|digests| digests.get(number)).copied(),
                    files: bring(object, path, is_guarded)?,
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
        for file in self
            .ports
            .iter()
            .flat_map(|port| &port.artifacts)
            .flat_map(|artifact| &artifact.files)
        {
            let changed = fs::symlink_metadata(&file.path)
                .is_ok_and(|now| now.is_file() && now.ino() == file.before.inode && now.mode() & 0o7777 != file.mode);
            if changed {
                let _ = fs::set_permissions(&file.path, Permissions::from_mode(file.mode));
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
            let now = FileState::from(&now);
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

/// Brings the object of an artifact to `to`: its folders are made, its files linked or copied.
fn bring(object: &Path, to: &Path, is_guarded: bool) -> io::Result<Vec<InputFile>> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(object) {
        let entry = entry?;
        let inside = entry.path().strip_prefix(object).unwrap_or(entry.path());
        let target = if inside.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(inside)
        };
        if entry.file_type().is_dir() {
            fs::create_dir(&target)?;
            folders.push(target);
            continue;
        }
        // Where a link is not possible (another file system or owner, too many links), a copy does.
        if !(is_guarded && fs::hard_link(entry.path(), &target).is_ok()) {
            copy(entry.path(), &target)?;
        }
        let about = fs::symlink_metadata(&target)?;
        files.push(InputFile {
            before: FileState::from(&about),
            mode: about.mode() & 0o7777,
            path: target,
        });
    }
    if !is_guarded {
        folders.iter().try_for_each(|folder| lock(folder))?;
    }
    Ok(files)
}

/// Copies a file, read only. Shares its blocks where the file system can.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut target) = (File::open(from)?, File::options().write(true).create_new(true).open(to)?);
    let executable = source.metadata()?.mode() & 0o111;
    #[cfg(target_os = "linux")]
    let is_shared = rustix::fs::ioctl_ficlone(&target, &source).is_ok();
    #[cfg(not(target_os = "linux"))]
    let is_shared = false;
    if !is_shared {
        io::copy(&mut source, &mut target)?;
    }
    target.set_permissions(Permissions::from_mode(0o444 | executable))
}

/// Nothing is made, removed or renamed in the folder.
fn lock(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o555))
}

/// Removes a folder whose folders are locked, if it is there.
pub(super) fn remove(folder: &Path) {
    for entry in WalkDir::new(folder).into_iter().map_while(Result::ok) {
        if entry.file_type().is_dir() {
            let _ = fs::set_permissions(entry.path(), Permissions::from_mode(0o755));
        }
    }
    let _ = fs::remove_dir_all(folder);
}

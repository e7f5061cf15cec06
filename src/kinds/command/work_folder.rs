//! Where a program runs.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::scratch::{INPUTS, KEPT, PRIVATE, Scratch, WORK};
use super::{CommandStage, inputs};
use lab::hash;
use lab::stage::{StageContext, StageError, failed};

/// The mode of all files that are copied into a program's folder: what a program could see of it is in no key.
const MODE: u32 = 0o755;

/// The folders of a program.
pub(super) struct WorkFolder {
    /// Its working folder; empty but for the files of its source.
    pub(super) folder: PathBuf,
    /// For files that the program need not see, and its temporary files.
    pub(super) private: PathBuf,
    /// The name of that folder for temporary files: short, so that sockets can be made in it.
    pub(super) tmp: PathBuf,
    /// The file to which the program writes its progress, as JSON Lines.
    pub(super) progress: PathBuf,
    /// The file that has the stage's `params` as JSON.
    pub(super) params: PathBuf,
    /// A folder that outlives a killed stage: for checkpoints.
    pub(super) kept: PathBuf,
    /// Where its inputs are.
    pub(super) inputs: PathBuf,
}

impl WorkFolder {
    /// The folders in `scratch`, in which an earlier attempt may have left its own.
    pub(super) fn new(scratch: &Scratch) -> Result<Self, StageError> {
        let place = &scratch.folder;
        let (folder, private, kept) = (place.join(WORK), place.join(PRIVATE), place.join(KEPT));
        for folder in [&folder, &private] {
            inputs::remove(folder);
        }
        for folder in [&folder, &private, &kept] {
            fs::create_dir_all(folder).map_err(|error| failed(format!("cannot create {}: {error}", folder.display())))?;
        }
        let progress = private.join("progress.jsonl");
        File::create(&progress).map_err(failed)?;
        Ok(Self {
            folder,
            tmp: scratch.short.as_ref().map_or_else(|| private.clone(), |link| link.to_path_buf()),
            params: private.join("params.json"),
            private,
            progress,
            kept,
            inputs: place.join(INPUTS),
        })
    }

    /// Puts the files of the stage into the folder: those of its source, and those among the words of its command line.
    ///
    /// # Errors
    /// When they are not what they were when the key was computed: the same names with the same content, no more and no fewer.
    pub(super) fn fill(&self, stage: &CommandStage, context: &StageContext<'_>) -> Result<(), StageError> {
        if let Some(source) = &stage.source {
            let files = context.source_files(source, &stage.files)?;
            self.copy(files.files(), context)?;
            context.check_copies(source, &files, &self.folder)?;
        }
        for file in &stage.files {
            let path = file.path.clone().unwrap_or_default();
            self.copy(&[(file.name.clone(), path)], context)?;
        }
        Ok(())
    }

    /// Puts files into the folder under their names.
    fn copy(&self, files: &[(String, PathBuf)], context: &StageContext<'_>) -> Result<(), StageError> {
        for (name, path) in files {
            context.pause(0)?;
            let to = self.folder.join(name);
            let copied = fs::create_dir_all(to.parent().unwrap_or(&self.folder)).and_then(|()| copy_file(path, &to));
            let is_file = copied.map_err(|error| failed(format!("cannot copy {}: {error}", path.display())))?;
            // Of the copy: the file may have been edited while earlier stages ran.
            let is_changed = match context.files.get(name) {
                Some(expected) if is_file => *expected != hash::file(&to).map_err(failed)?,
                _ => !is_file,
            };
            if is_changed {
                let message = format!("`{name}` was changed after the run had begun ({}); run again", path.display());
                return Err(failed(message));
            }
        }
        Ok(())
    }
}

/// Copies a file. Returns false where there is something else by now, such as a pipe, which nobody may ever write to.
fn copy_file(from: &Path, to: &Path) -> io::Result<bool> {
    let mut source = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(from)?;
    if !source.metadata()?.is_file() {
        return Ok(false);
    }
    let mut target = File::create(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(Permissions::from_mode(MODE))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn copies_have_one_mode_and_pipes_are_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for mode in [0o644, 0o400, 0o777] {
            fs::write(&from, "text").unwrap();
            fs::set_permissions(&from, Permissions::from_mode(mode)).unwrap();
            assert!(copy_file(&from, &to).unwrap());
            assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o755);
            assert_eq!(fs::read_to_string(&to).unwrap(), "text");
            fs::remove_file(&from).unwrap();
            fs::remove_file(&to).unwrap();
        }
        let made = std::process::Command::new("mkfifo").arg(&from).status().unwrap();
        assert!(made.success());
        assert!(!copy_file(&from, &to).unwrap());
        assert!(!copy_file(folder.path(), &to).unwrap());
    }
}

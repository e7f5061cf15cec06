//! Where a program runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{CommandStage, inputs};
use lab::hash;
use lab::stage::{StageContext, StageError, failed};

/// The folders of a program.
pub(super) struct WorkFolder {
    /// Its working folder; empty but for the files of its source.
    pub(super) folder: PathBuf,
    /// For files that the program need not see.
    pub(super) private: PathBuf,
    /// The file to which the program writes its progress, as JSON Lines.
    pub(super) progress: PathBuf,
    /// A folder that outlives a killed stage: for checkpoints.
    pub(super) kept: PathBuf,
    /// Where its inputs are.
    pub(super) inputs: PathBuf,
}

impl WorkFolder {
    /// The folders in `scratch`, in which an earlier attempt may have left its own.
    pub(super) fn new(scratch: &Path) -> Result<Self, StageError> {
        let (folder, private, kept) = (scratch.join("work"), scratch.join("private"), scratch.join("kept"));
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
            private,
            progress,
            kept,
            inputs: scratch.join("inputs"),
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
            let copied = fs::create_dir_all(to.parent().unwrap_or(&self.folder)).and_then(|()| fs::copy(path, &to));
            copied.map_err(|error| failed(format!("cannot copy {}: {error}", path.display())))?;
            // Of the copy: the file may have been edited while earlier stages ran.
            let digest = hash::file(&to).map_err(failed)?;
            if context.files.get(name).is_some_and(|expected| *expected != digest) {
                let message = format!("`{name}` was changed after the run had begun ({}); run again", path.display());
                return Err(failed(message));
            }
        }
        Ok(())
    }
}

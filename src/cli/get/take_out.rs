//! Writes artifacts below a folder: each whole or not at all, and nothing outside of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Taken;
use crate::cli::CliError;
use lab::store::Store;

/// What is done with an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakenState {
    /// Nothing is there yet.
    New,
    /// The same content is there.
    Same,
    /// Something else is there.
    Different,
}

impl TakenState {
    /// For people and JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::New => "written",
            Self::Same => "same",
            Self::Different => "replaced",
        }
    }
}

/// What is at the place of an artifact below `folder`.
///
/// # Errors
/// When it cannot be read, or a folder that leads to it is none or a link: that may lead out of `folder`.
pub(super) fn state(store: &Store, folder: &Path, taken: &Taken<'_>) -> Result<TakenState, CliError> {
    let mut at = folder.to_owned();
    for part in taken.place.parent().unwrap_or(Path::new("")) {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(about) if about.is_dir() => {}
            Ok(_) => {
                let error = io::Error::other("it is no folder, and is left alone: move it away, or take another DIR");
                return Err(CliError::Write(at, error));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TakenState::New),
            Err(error) => return Err(CliError::Write(at, error)),
        }
    }
    let path = folder.join(&taken.place);
    match fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TakenState::New),
        Err(error) => Err(CliError::Write(path, error)),
        Ok(_) if store.is_copy(&path, &taken.found.artifact)? => Ok(TakenState::Same),
        Ok(_) => Ok(TakenState::Different),
    }
}

/// Copies an artifact to its place below `folder`, and puts it in the place of what is there.
///
/// # Errors
/// When it cannot be written. Then what was there is there still.
pub(super) fn write(store: &Store, folder: &Path, taken: &Taken<'_>) -> Result<(), CliError> {
    let path = folder.join(&taken.place);
    let written = || -> io::Result<()> {
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)?;
        // In the same folder, so that renaming moves nothing but the name.
        let aside = tempfile::Builder::new().prefix(".runner-").tempdir_in(parent)?;
        let copy = aside.path().join("new");
        store.copy_out(&taken.found.artifact, &copy)?;
        replace(&copy, &path, &aside.path().join("old"))
    };
    written().map_err(|error| CliError::Write(path.clone(), error))
}

/// Moves `new` to `path`, and what is there to `old`.
fn replace(new: &Path, path: &PathBuf, old: &Path) -> io::Result<()> {
    let had = match fs::rename(path, old) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    fs::rename(new, path).inspect_err(|_| {
        if had {
            // If this fails too, it stays under its other name.
            let _ = fs::rename(old, path);
        }
    })
}

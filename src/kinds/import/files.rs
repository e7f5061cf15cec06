//! A file or a folder of files as an artifact, as it is.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use lab::source::{Source, SourceFiles};
use lab::stage::{StageContext, StageError, failed};
use lab::store::shares_blocks;

/// The port of the artifact.
pub(super) const OUTPUT: &str = "file";

/// Copies the files of a source: one file as a file, since its name is not in the key, and those of a folder as a folder.
///
/// # Errors
/// When there is no file, or one cannot be copied.
pub(super) fn copy(source: &Source, files: &SourceFiles, context: &StageContext<'_>) -> Result<(), StageError> {
    let out = context.outputs.join(OUTPUT);
    let count = files.files().len() as u64;
    match files.files() {
        [] => return Err(failed(format!("source `{}` has no files", source.name))),
        [(_, path)] if source.is_one_file(files.place()) => copy_file(path, &out)?,
        many => {
            for (done, (name, path)) in many.iter().enumerate() {
                context.pause(0)?;
                context.tell(done as u64, count, "files", []);
                copy_file(path, &out.join(name))?;
            }
        }
    }
    context.tell(count, count, "files", []);
    Ok(())
}

/// Copies a file, and not its mode, which is in no key.
fn copy_file(from: &Path, to: &Path) -> Result<(), StageError> {
    let copied = || -> io::Result<()> {
        fs::create_dir_all(to.parent().unwrap_or(to))?;
        let mut source = File::open(from)?;
        let mut target = File::create(to)?;
        if !shares_blocks(&target, &source) {
            io::copy(&mut source, &mut target)?;
        }
        Ok(())
    };
    copied().map_err(|error| failed(format!("cannot copy {}: {error}", from.display())))
}

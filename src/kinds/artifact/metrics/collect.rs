//! Metrics from the files that a program wrote.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ArtifactError, metrics_path};

/// The files of a program's metrics, each with its path from the program's folder.
#[derive(Clone, Debug, Default)]
pub struct MetricsFiles {
    pub metrics: Vec<(String, PathBuf)>,
    pub examples: Vec<(String, PathBuf)>,
    pub series: Vec<(String, PathBuf)>,
}

/// Makes the artifact in `folder`, which is created.
///
/// # Errors
/// When a file cannot be read, or the artifact cannot be written.
pub fn collect(files: &MetricsFiles, folder: &Path) -> Result<(), ArtifactError> {
    let wrong = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |cause| ArtifactError::File { action, path, cause }
    };
    fs::create_dir_all(folder).map_err(wrong("create", folder))?;
    for (_, path) in files.metrics.iter().take(1) {
        fs::copy(path, metrics_path(folder)).map_err(wrong("copy", path))?;
    }
    Ok(())
}

/// Makes the artifact of what a program wrote to `path`, where that is a file.
///
/// # Errors
/// When it cannot be read, or the artifact cannot be written.
pub fn complete(path: &Path) -> Result<(), ArtifactError> {
    if path.is_dir() {
        return Ok(());
    }
    let wrong = |cause| ArtifactError::File {
        action: "write",
        path: path.to_owned(),
        cause,
    };
    let aside = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path)).map_err(wrong)?;
    fs::rename(path, aside.path()).map_err(wrong)?;
    let files = MetricsFiles {
        metrics: vec![(String::new(), aside.path().to_owned())],
        ..MetricsFiles::default()
    };
    collect(&files, path)
}

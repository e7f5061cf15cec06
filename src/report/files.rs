//! The files of a report: the page and the figures.

use std::io;
use std::path::{Path, PathBuf};

use lab::source::FIGURE_MARK;
use lab::text::bytes;

use crate::figure::Figure;
use crate::page::{PageData, page};
use crate::parts::ReportPart;

/// A file of a report that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct ReportFileError {
    pub path: PathBuf,
    pub error: io::Error,
}

/// Writes the page, which has `results` before the other figures. Returns the path and size for the list of written files.
///
/// # Errors
/// When the file cannot be written.
pub fn write_page(path: &Path, data: &PageData, results: &[&ReportPart], figures: &[Figure]) -> Result<String, ReportFileError> {
    let page = page(data, results, figures);
    write_file(path, page.as_bytes())?;
    Ok(format!("{} ({})", path.display(), bytes(page.len() as u64)))
}

/// Writes each figure as SVG, and as PNG in a build with the feature `png`. Returns the number and folder for the list of written files.
///
/// # Errors
/// When a file cannot be written.
pub fn write_figures(folder: &Path, figures: &[Figure]) -> Result<String, ReportFileError> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for figure in figures {
        // A point in the name begins no ending: `metric-test.f1`.
        let path = |format: &str| folder.join(format!("{}.{format}", figure.name));
        let svg = figure.svg();
        write_file(&path("svg"), format!("{FIGURE_MARK}\n{svg}").as_bytes())?;
        #[cfg(feature = "png")]
        {
            let path = path("png");
            let image = crate::figure::png(&svg).map_err(|error| failed(&path, io::Error::other(error)))?;
            write_file(&path, &image)?;
        }
    }
    let (formats, hint) = if cfg!(feature = "png") {
        ("SVG and PNG", "")
    } else {
        ("SVG", " (a build with `--features png` writes PNG too)")
    };
    Ok(format!("{} figures as {formats} in {}{hint}", figures.len(), folder.display()))
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), ReportFileError> {
    std::fs::write(path, content).map_err(|error| failed(path, error))
}

fn failed(path: &Path, error: io::Error) -> ReportFileError {
    ReportFileError {
        path: path.to_owned(),
        error,
    }
}

//! The files of a report.

use std::path::Path;

use super::ReportArgs;
use crate::cli::CliError;
use lab::text::bytes;
use report::figure::{Figure, png};
use report::page::page;
use report::{Findings, Shown};

/// Writes what is asked for, and says what was written; the page has `results` before the other figures.
pub(super) fn files(args: &ReportArgs, findings: &Findings, results: &[&Shown], figures: &[Figure]) -> Result<Vec<String>, CliError> {
    let mut written = Vec::new();
    if let Some(path) = &args.html {
        let page = page(findings, results, figures);
        write(path, page.as_bytes())?;
        written.push(format!("{} ({})", path.display(), bytes(page.len() as u64)));
    }
    if let Some(folder) = &args.plots {
        plots(folder, figures)?;
        written.push(format!("{} figures as SVG and PNG in {}", figures.len(), folder.display()));
    }
    Ok(written)
}

fn plots(folder: &Path, figures: &[Figure]) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::Write(folder.to_owned(), error))?;
    for figure in figures {
        let svg = figure.svg();
        let path = folder.join(figure.name);
        write(&path.with_extension("svg"), svg.as_bytes())?;
        let path = path.with_extension("png");
        let picture = png(&svg).map_err(|error| CliError::Write(path.clone(), std::io::Error::other(error)))?;
        write(&path, &picture)?;
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, content).map_err(|error| CliError::Write(path.to_owned(), error))
}

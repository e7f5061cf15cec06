//! Data sets: JSON Lines files of rows.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use learn::dataset::{self, JsonLinesReader, Row};
use serde::Deserialize;

use super::ArtifactError;

/// The rows, one at a time.
///
/// # Errors
/// When the file cannot be opened.
pub fn lines(path: &Path) -> Result<JsonLinesReader<Row>, ArtifactError> {
    Ok(dataset::open(path)?)
}

/// All rows.
///
/// # Errors
/// When the file cannot be read, or a line is not a row.
pub fn read(path: &Path) -> Result<Vec<Row>, ArtifactError> {
    Ok(dataset::read(path)?)
}

/// Writes a data set.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, rows: &[Row]) -> Result<(), ArtifactError> {
    Ok(dataset::write(path, rows)?)
}

/// The part of a row that [`step_counts`] reads.
#[derive(Deserialize)]
struct RowSteps {
    step_num: u32,
}

/// The number of steps of each solution.
///
/// # Errors
/// When the file cannot be read, or a line has no number of steps.
pub fn step_counts(path: &Path) -> Result<Vec<u32>, ArtifactError> {
    let rows: Vec<RowSteps> = dataset::read(path)?;
    Ok(rows.iter().map(|row| row.step_num).collect())
}

/// The number of rows of a data set, or of answers: lines that are not blank.
///
/// # Errors
/// When the file cannot be read.
pub fn count(path: &Path) -> Result<u64, ArtifactError> {
    let failed = ArtifactError::io("read", path);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let (mut line, mut count) = (Vec::new(), 0);
    while file.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        count += u64::from(!line.trim_ascii().is_empty());
        line.clear();
    }
    Ok(count)
}

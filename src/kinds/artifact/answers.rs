//! Answers: JSON Lines files of a model's responses with the problems that they answer.

use std::path::Path;

use learn::dataset::{self, Answer, JsonLinesReader};

use super::ArtifactError;

/// The answers, one at a time.
///
/// # Errors
/// When the file cannot be opened.
pub fn lines(path: &Path) -> Result<JsonLinesReader<Answer>, ArtifactError> {
    Ok(dataset::open(path)?)
}

/// All answers.
///
/// # Errors
/// When the file cannot be read, or a line is not an answer.
pub fn read(path: &Path) -> Result<Vec<Answer>, ArtifactError> {
    Ok(dataset::read(path)?)
}

/// Writes answers.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, answers: &[Answer]) -> Result<(), ArtifactError> {
    Ok(dataset::write(path, answers)?)
}

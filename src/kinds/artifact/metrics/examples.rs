//! Examples: the single cases that metrics were measured on, with the numbers or the verdict of each.

use std::path::Path;

use super::ArtifactError;

/// One case that metrics were measured on: a row of a test set, a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Example {
    /// Identifies the case, so that two variants can be compared on it.
    pub id: String,
    /// Its numbers by dotted name, in the order of the file; a verdict is 1 or 0.
    pub numbers: Vec<(String, f64)>,
    /// All its fields as they were written, for people to read.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// The examples of the data set with this index; `None` if the artifact has none.
///
/// # Errors
/// When they cannot be read.
pub fn read_examples(_folder: &Path, _set: usize) -> Result<Option<Vec<Example>>, ArtifactError> {
    Ok(None)
}

//! Reads answers from the store and judges them.

use std::path::Path;

use kinds::artifact;
use kinds::metrics::Outcome;
use lab::hash::Digest;
use lab::store::StoreError;
use learn::dataset::{Answer, Row};

/// Calls `each` with every answer in the file and its judgement.
pub fn read_judged(path: &Path, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
    let damaged = |error: String| StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("is not what `sample` or `eval` writes: {error}"),
    };
    for answer in artifact::answers::lines(path).map_err(|error| damaged(error.to_string()))? {
        let answer = answer.map_err(|error| damaged(error.to_string()))?;
        let outcome = kinds::judge(&answer).map_err(|error| damaged(error.to_string()))?;
        each(&answer, outcome);
    }
    Ok(())
}

/// Identifies a problem. Its id alone is not unique, because seeds may draw their own problems.
pub fn problem_digest(row: &Row) -> Digest {
    Digest::of(format!("{}\n{}", row.id, row.prompt).as_bytes())
}

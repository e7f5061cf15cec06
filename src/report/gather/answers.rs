//! Answers in the store, judged.

use std::path::Path;

use kinds::artifact;
use kinds::metrics::Outcome;
use lab::hash::Digest;
use lab::store::StoreError;
use learn::dataset::{Answer, Row};

/// Reads answers one after the other, each with its judgement.
pub fn read(path: &Path, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
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

/// The identity of a problem. An id is not enough if each seed draws problems of its own.
pub fn problem(row: &Row) -> Digest {
    Digest::of(format!("{}\n{}", row.id, row.prompt).as_bytes())
}

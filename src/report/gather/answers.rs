//! Reads answers from the store and judges them.

use std::path::{Path, PathBuf};

use kinds::metrics::Outcome;
use lab::hash::Digest;
use lab::store::StoreError;
use learn::dataset::{self, Answer, Row};

/// Calls `each` with every answer in the file and its judgement.
pub fn read_judged(path: &Path, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
    let damaged = |error: String| StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("is not what `sample` or `eval` writes: {error}"),
    };
    for answer in dataset::open(path).map_err(|error| damaged(error.to_string()))? {
        let answer: Answer = answer.map_err(|error| damaged(error.to_string()))?;
        let outcome = kinds::judge(&answer).map_err(|error| damaged(error.to_string()))?;
        each(&answer, outcome);
    }
    Ok(())
}

/// The file with an evaluation's answers to the data set at `place`.
pub fn path(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("answers-{place}.jsonl"))
}

/// Identifies a problem. Its id alone is not unique, because seeds may draw their own problems.
pub fn problem_digest(row: &Row) -> Digest {
    Digest::of(format!("{}\n{}", row.id, row.prompt).as_bytes())
}

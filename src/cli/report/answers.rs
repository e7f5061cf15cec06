//! Answers in the store, judged.

use std::path::{Path, PathBuf};

use crate::dataset::{self, Answer, Row};
use crate::hash::Digest;
use crate::metrics::Outcome;
use crate::stage;
use crate::store::StoreError;

/// Reads answers one after the other, each with its judgement.
pub(super) fn read(path: &Path, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
    let damaged = |error: String| StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("is not what `sample` or `eval` writes: {error}"),
    };
    for answer in dataset::open(path).map_err(|error| damaged(error.to_string()))? {
        let answer: Answer = answer.map_err(|error| damaged(error.to_string()))?;
        let outcome = stage::judge(&answer).map_err(|error| damaged(error.to_string()))?;
        each(&answer, outcome);
    }
    Ok(())
}

/// Where an evaluation keeps the answers to the data set at `place`.
pub(super) fn path(folder: &Path, place: usize) -> PathBuf {
    folder.join(format!("answers-{place}.jsonl"))
}

/// What tells problems apart: ids alone do not, where seeds draw problems of their own.
pub(super) fn problem(row: &Row) -> Digest {
    Digest::of(format!("{}\n{}", row.id, row.prompt).as_bytes())
}

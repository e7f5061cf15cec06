//! Reads judged answers from the store.

use std::path::Path;

use kinds::artifact;
use kinds::artifact::answers::Judged;
use kinds::judging::Judge;
use kinds::metrics::Outcome;
use lab::hash::Digest;
use lab::plan::Node;
use lab::store::StoreError;
use learn::dataset::{Answer, Row};

/// Calls `each` with every answer that a stage judged, and its outcome. `path` is a file in an artifact of metrics.
pub fn read_judged(path: &Path, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
    let damaged = |error: String| damaged(path, &error);
    for judged in artifact::answers::judged(path).map_err(|error| damaged(error.to_string()))? {
        let Judged { answer, outcome, .. } = judged.map_err(|error| damaged(error.to_string()))?;
        each(&answer, outcome);
    }
    Ok(())
}

/// Calls `each` with every answer in the file, judged as the stage `judging` does.
pub fn judge(path: &Path, judging: &Node, mut each: impl FnMut(&Answer, Outcome)) -> Result<(), StoreError> {
    let damaged = |error: String| damaged(path, &error);
    let judge = Judge::of_params(&judging.stage.params()).map_err(|error| damaged(error.to_string()))?;
    let answers = artifact::answers::read(path).map_err(|error| damaged(error.to_string()))?;
    let judged = judge.judge(&answers).map_err(|error| damaged(error.to_string()))?;
    for (answer, judgement) in answers.iter().zip(judged) {
        each(answer, judgement.outcome);
    }
    Ok(())
}

fn damaged(path: &Path, error: &str) -> StoreError {
    StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("is not what `sample` or `measure` writes: {error}"),
    }
}

/// Identifies a problem. Its id alone is not unique, because seeds may draw their own problems.
pub fn problem_digest(row: &Row) -> Digest {
    Digest::of(format!("{}\n{}", row.id, row.prompt).as_bytes())
}

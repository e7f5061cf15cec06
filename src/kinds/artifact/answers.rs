//! Answers: JSON Lines files of a model's responses with the problems that they answer; those that were judged have their outcomes, too.

use std::collections::BTreeMap;
use std::path::Path;

use learn::dataset::{self, Answer, JsonLinesReader, JsonLinesWriter};
use serde::{Deserialize, Serialize};

use crate::metrics::{Outcome, Verdict};

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

/// A line of judged answers, and its outcome as far as the answer does not have it.
#[derive(Serialize)]
struct JudgedLine<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    outcome: OutcomeFields,
}

#[derive(Serialize, Deserialize)]
struct OutcomeFields {
    verdict: Verdict,
    /// The final answer as it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    steps: u32,
    valid: Option<bool>,
    complete: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    scores: BTreeMap<String, f64>,
}

/// A judged answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub answer: Answer,
    pub outcome: Outcome,
    /// The final answer as it was read; `None` where there is none.
    pub read: Option<String>,
    /// By filter and metric.
    pub scores: BTreeMap<String, f64>,
}

/// Writes judged answers.
///
/// # Errors
/// When the file cannot be written.
pub fn write_judged(path: &Path, answers: &[Judged]) -> Result<(), ArtifactError> {
    let mut writer = JsonLinesWriter::create(path)?;
    for judged in answers {
        writer.write(&JudgedLine {
            answer: &judged.answer,
            outcome: OutcomeFields {
                verdict: judged.outcome.verdict,
                answer: judged.read.clone(),
                steps: judged.outcome.steps,
                valid: judged.outcome.valid,
                complete: judged.outcome.complete,
                scores: judged.scores.clone(),
            },
        })?;
    }
    Ok(writer.finish()?)
}

/// The judged answers, one at a time.
///
/// # Errors
/// When the file cannot be opened.
pub fn judged(path: &Path) -> Result<JsonLinesReader<Judged>, ArtifactError> {
    Ok(dataset::open(path)?)
}

impl<'de> Deserialize<'de> for Judged {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Line {
            outcome: OutcomeFields,
        }
        // Twice, because serde's `flatten` would round the numbers of the answer on their way.
        let raw = Box::<serde_json::value::RawValue>::deserialize(deserializer)?;
        let error = |error: serde_json::Error| serde::de::Error::custom(error);
        let answer: Answer = serde_json::from_str(raw.get()).map_err(error)?;
        let Line { outcome } = serde_json::from_str(raw.get()).map_err(error)?;
        let OutcomeFields { answer: read, scores, .. } = &outcome;
        let (read, scores) = (read.clone(), scores.clone());
        let outcome = Outcome {
            steps: outcome.steps,
            full_steps: answer.problem.step_num,
            requested: answer.requested,
            verdict: outcome.verdict,
            valid: outcome.valid,
            complete: outcome.complete,
            tokens: answer.tokens,
        };
        Ok(Self {
            answer,
            outcome,
            read,
            scores,
        })
    }
}

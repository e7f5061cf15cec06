//! Answers that need not be computed again: those of a stage that was killed, and those of earlier, smaller stages.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::asked::Question;
use crate::artifact::answers;
use lab::stage::{StageContext, StageError, failed};
use learn::dataset::{Answer, Row};

/// The file in the scratch folder in which a stage keeps its answers.
const FILE: &str = "kept.jsonl";

/// The answers, by row, request and sample.
pub(super) struct KeptAnswers {
    answers: Answers,
    file: File,
}

impl KeptAnswers {
    /// Those of earlier stages, and those that an earlier attempt of this stage has kept.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn open(context: &StageContext<'_>) -> Result<Self, StageError> {
        let mut answers = earlier(context)?;
        answers.extend(attempt(context));
        let file = open(&context.scratch.join(FILE))?;
        Ok(Self { answers, file })
    }

    /// The same for a stage that asks a server. What is taken over decides the numbers of its requests, by which it keeps their answers: so
    /// once it `has_begun`, it is what was taken over then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn open_once(context: &StageContext<'_>, has_begun: bool) -> Result<Self, StageError> {
        let path = context.scratch.join(FILE);
        if has_begun {
            return Ok(Self {
                answers: attempt(context),
                file: open(&path)?,
            });
        }
        let _ = std::fs::remove_file(&path);
        Ok(Self {
            answers: earlier(context)?,
            file: open(&path)?,
        })
    }

    /// The answer to a question about the same row.
    pub(super) fn get(&self, question: &Question<'_>) -> Option<Answer> {
        let place = (question.row.id.clone(), question.requested, question.sample);
        let found = self.answers.get(&place).filter(|answer| is_same(&answer.problem, question.row))?;
        Some(Answer {
            // The right answer may have changed: it was not asked for.
            problem: question.row.clone(),
            ..found.clone()
        })
    }

    /// Keeps an answer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add(&mut self, answer: &Answer) -> Result<(), StageError> {
        let mut line = serde_json::to_vec(answer).map_err(failed)?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(failed)
    }
}

type Answers = HashMap<(String, Option<u32>, u32), Answer>;

/// The answers of earlier stages: a hint and no input, so that what cannot be read is not taken over.
fn earlier(context: &StageContext<'_>) -> Result<Answers, StageError> {
    let mut all = Answers::new();
    for path in context.earlier {
        let Ok(lines) = answers::lines(path) else { continue };
        for answer in lines.map_while(Result::ok) {
            context.pause(all.len())?;
            add(&mut all, answer);
        }
    }
    Ok(all)
}

/// The answers that an earlier attempt has kept. Lines that were cut are ignored.
fn attempt(context: &StageContext<'_>) -> Answers {
    let mut all = Answers::new();
    let bytes = std::fs::read(context.scratch.join(FILE)).unwrap_or_default();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(answer) = serde_json::from_slice(line) {
            add(&mut all, answer);
        }
    }
    all
}

fn add(all: &mut Answers, answer: Answer) {
    if answer.failed.is_none() {
        all.insert((answer.problem.id.clone(), answer.requested, answer.sample), answer);
    }
}

/// Whether two rows ask the same: all but the right answer.
fn is_same(one: &Row, other: &Row) -> bool {
    let asked = |row: &Row| (row.prompt.clone(), row.completion.clone(), row.step_num, row.doc.clone());
    asked(one) == asked(other)
}

/// The file to append to. A line of it that was cut is ended.
fn open(path: &Path) -> Result<File, StageError> {
    let failed_at = |error: std::io::Error| failed(format!("cannot write {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed_at)?;
    }
    let mut file = File::options().create(true).append(true).open(path).map_err(failed_at)?;
    if std::fs::metadata(path).is_ok_and(|about| about.len() > 0) {
        file.write_all(b"\n").map_err(failed_at)?;
    }
    Ok(file)
}

//! The abilities that a language model has before it learns to reason step by step: small sums, single turns, copied and moved symbols. Not
//! part of the paper: data for a base model if no language model is available (see `docs/tasks.md`).

mod draw;
mod params;
mod question;

use schemars::{Schema, schema_for};

use self::params::BasicsParams;
use self::question::BasicsQuestion;
use super::pool::NamedProblem;
use super::{Problems, Splits, Task};
use lab::config::{ConfigValue, ParamError};
use learn::dataset::{Doc, Row};

/// The task `basics`.
pub(super) struct Basics;

impl Task for Basics {
    fn name(&self) -> &'static str {
        "basics"
    }

    fn is_problem(&self, row: &Row) -> bool {
        BasicsQuestion::parse(&row.prompt).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.is_written_as(answer)
    }

    /// The only valid step is the one of the full solution.
    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        let work = BasicsQuestion::parse(&row.prompt).map(|question| question.work());
        steps.iter().map(|step| work.as_deref() == Some(step.trim())).collect()
    }

    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        let params: BasicsParams = params.read()?;
        params.check()?;
        Ok(Box::new(params))
    }

    fn schema(&self) -> Schema {
        schema_for!(BasicsParams)
    }
}

impl Problems for BasicsParams {
    fn params(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    fn generate(&self, seed: u64) -> Splits {
        let drawn = self.demand().draw("basics", seed);
        let mut train = rows(&draw::facts(&self.skills));
        train.extend(rows(&drawn.train));
        Splits {
            train,
            // A solution of one step has no skip.
            skipped: Vec::new(),
            development: rows(&drawn.development),
            in_domain: rows(&drawn.in_domain),
            ood_easy: rows(&drawn.ood_easy),
            ood_hard: rows(&drawn.ood_hard),
        }
    }
}

fn rows(questions: &[NamedProblem<BasicsQuestion>]) -> Vec<Row> {
    questions
        .iter()
        .map(|NamedProblem { id, problem }| row(id.clone(), problem))
        .collect()
}

fn row(id: String, question: &BasicsQuestion) -> Row {
    let answer = question.answer();
    Row {
        id,
        prompt: question.to_string(),
        completion: format!("{}\nThus, the answer is {answer}.", question.work()),
        step_num: 1,
        answer: answer.into(),
        doc: Doc::default(),
    }
}

#[cfg(test)]
mod tests;

//! `filter`: keeps the answers that skip steps as they were asked to, and are right.

use std::collections::{HashMap, HashSet};

use figment::value::Value;
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answering::judge;
use super::job::failed;
use super::{Input, Job, Kind, Output, PortType, Stage, StageError};
use crate::dataset::{self, Answer, Row};
use crate::metrics;

pub(super) static KIND: Kind = Kind {
    name: "filter",
    version: 1,
    inputs: &[Input::one("answers", PortType::Answers)],
    outputs: &[Output::of("data", PortType::Dataset)],
    named: &[],
    parse: |params| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Filter),
    follows_seed: true,
};

/// Keeps an answer when it is right, has the number of steps asked for, and has fewer than the full solution.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {}

fn read(params: &Value) -> Result<Filter, figment::Error> {
    params.deserialize()
}

impl Stage for Filter {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, job: &Job<'_>) -> Result<(), StageError> {
        let answers: Vec<Answer> = dataset::read(job.input("answers")?)?;
        let mut kept = Kept::default();
        for (done, answer) in answers.iter().enumerate() {
            job.pause(done)?;
            if is_skip(answer)? {
                kept.add(answer);
            }
        }
        job.tell(
            answers.len() as u64,
            answers.len() as u64,
            "answers",
            [("kept", kept.rows.len() as f64)],
        );
        job.write("data", &kept.rows)
    }
}

/// METHOD, 3 (b): right, with the number of steps asked for, and that fewer than the full solution's.
fn is_skip(answer: &Answer) -> Result<bool, StageError> {
    if answer.requested.is_none() {
        return Err(failed(format!(
            "the prompt of answer `{}` names no number of steps; sample a model trained with a numbered prompt",
            answer.problem.id
        )));
    }
    let outcome = judge(answer)?;
    Ok(outcome.right && outcome.requested == Some(outcome.steps) && outcome.steps < outcome.full_steps)
}

/// The kept rows: each pair of question and solution once, each with an id of its own.
#[derive(Default)]
struct Kept {
    rows: Vec<Row>,
    seen: HashSet<(String, String)>,
    /// Kept rows by the problem's id.
    counts: HashMap<String, u32>,
}

impl Kept {
    fn add(&mut self, answer: &Answer) {
        let (problem, solution) = (&answer.problem, answer.response.trim());
        if !self.seen.insert((problem.prompt.clone(), solution.to_owned())) {
            return;
        }
        let count = self.counts.entry(problem.id.clone()).or_default();
        *count += 1;
        self.rows.push(Row {
            id: match count {
                1 => format!("{}_skip", problem.id),
                count => format!("{}_skip_{count}", problem.id),
            },
            prompt: problem.prompt.clone(),
            completion: solution.to_owned(),
            step_num: metrics::read(solution).steps,
            answer: problem.answer.clone(),
        });
    }
}

//! `filter`: keeps the correct answers that skip as many steps as requested.

use std::collections::{HashMap, HashSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::artifact::answers;
use crate::data_sets::DataSets;
use crate::judging::{Judge, Judgement, check_task};
use crate::metrics;
use crate::task_table::{CarriedTasks, TaskParam};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{Answer, Row};

pub(super) static KIND: Kind = Kind {
    name: "filter",
    version: 3,
    inputs: &[Input::one("answers", PortType::Answers)],
    free: false,
    outputs: &[Output::of("data", PortType::Dataset)],
    named: &[("task", "tasks")],
    command_line: None,
    implied: &[],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Filter),
    follows_seed: true,
};

/// Keeps an answer when it is right, has the number of steps asked for, and has fewer than the full solution.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Filter {
    /// The task that judges the answers; left out, that of the data.
    task: Option<TaskParam>,
    /// Requirement on the steps.
    steps: KeptSteps,
}

/// The requirement on the steps of a kept answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Steps")]
enum KeptSteps {
    /// None: the steps are not checked.
    #[default]
    Any,
    /// Each follows from what stands before it.
    Valid,
}

fn read(params: &ConfigValue) -> Result<Filter, ParamError> {
    let filter: Filter = params.read()?;
    if let Some(TaskParam(task)) = &filter.task {
        check_task(task).map_err(|error| error.within("task"))?;
    }
    Ok(filter)
}

impl Stage for Filter {
    fn params(&self) -> serde_json::Value {
        json!(Self {
            task: self.task.as_ref().map(|TaskParam(task)| TaskParam(task.scoring())),
            ..*self
        })
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<serde_json::Value>, ParamError> {
        let tasks = match &self.task {
            Some(TaskParam(task)) => CarriedTasks::of(task.clone()),
            None => CarriedTasks::from(inputs.all()),
        };
        let from = inputs.all().next().map_or("", |input| input.stage);
        self.task = Some(TaskParam(tasks.judged(from)?.clone()));
        Ok(tasks.into_value())
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let answers = answers::read(context.input("answers")?).map_err(failed)?;
        let TaskParam(task) = self
            .task
            .as_ref()
            .ok_or_else(|| failed("no task says how the answers are judged"))?;
        let judge = Judge::new(task).map_err(failed)?;
        let mut kept = KeptRows::default();
        answers.iter().try_for_each(check_request)?;
        let judged = judge.judge(&answers).map_err(failed)?;
        for (done, (answer, Judgement { outcome, .. })) in answers.iter().zip(judged).enumerate() {
            context.pause(done)?;
            if outcome.is_kept() && (self.steps == KeptSteps::Any || outcome.valid == Some(true)) {
                kept.add(answer);
            }
        }
        context.tell(
            answers.len() as u64,
            answers.len() as u64,
            "answers",
            [("kept", kept.rows.len() as f64)],
        );
        context.write_rows("data", &kept.rows)
    }
}

/// Fails if the prompt of an answer names no number of steps.
fn check_request(answer: &Answer) -> Result<(), StageError> {
    if answer.requested.is_none() {
        return Err(failed(format!(
            "the prompt of answer `{}` names no number of steps; sample a model trained with a numbered prompt",
            answer.problem.id
        )));
    }
    Ok(())
}

/// The kept rows: each pair of question and solution once, each with a unique id.
#[derive(Default)]
struct KeptRows {
    rows: Vec<Row>,
    seen: HashSet<(String, String)>,
    /// Kept rows by the problem's id.
    counts: HashMap<String, u32>,
}

impl KeptRows {
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
            step_num: metrics::read_solution(solution).steps,
            answer: problem.answer.clone(),
            doc: problem.doc.clone(),
        });
    }
}

//! `measure`: judges answers, and measures them.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::artifact::{self, metrics::MetricsWriter};
use crate::judging::Judge;
use crate::metrics::{self, Outcome};
use crate::task_table::{CarriedTasks, TaskParams, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::Answer;

/// The input with the answers.
const ANSWERS: &str = "answers";

pub(super) static KIND: Kind = Kind {
    name: "measure",
    version: 3,
    inputs: &[Input::list(ANSWERS, PortType::Answers, false)],
    free: false,
    outputs: &[Output::of("metrics", PortType::Metrics)],
    named: &[("task", "tasks")],
    command_line: None,
    implied: &[],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Measure),
    follows_seed: true,
};

/// Measures the answers of `sample`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Measure {
    /// The task that judges them, or one for each input; left out, that of the data.
    task: Option<TaskParams>,
}

fn read(params: &ConfigValue) -> Result<Measure, ParamError> {
    let measure: Measure = params.read()?;
    for task in measure.task.iter().flat_map(|TaskParams(tasks)| tasks) {
        task.check().map_err(|error| error.within("task"))?;
    }
    Ok(measure)
}

/// The params of a stage that measures answers of these tasks, one for each input.
pub(super) fn params(tasks: &[TaskTable]) -> Value {
    let scoring = tasks.iter().map(TaskTable::scoring);
    json!(Measure {
        task: Some(TaskParams(scoring.collect())),
    })
}

impl Stage for Measure {
    fn params(&self) -> Value {
        self.task.as_ref().map_or_else(|| json!(self), |TaskParams(tasks)| params(tasks))
    }

    fn draws(&self) -> bool {
        false
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        let answers = inputs.at(ANSWERS);
        let tasks = match &self.task {
            Some(TaskParams(tasks)) if tasks.len() == 1 || tasks.len() == answers.len() => return Ok(None),
            Some(TaskParams(tasks)) => {
                let message = format!(
                    "{} tasks for {} inputs: name one for all, or one for each",
                    tasks.len(),
                    answers.len()
                );
                return Err(ParamError::new("task", message));
            }
            None => answers
                .iter()
                .map(|answers| CarriedTasks::from([answers]).judged(answers.stage).cloned()),
        };
        self.task = Some(TaskParams(tasks.collect::<Result<_, _>>()?));
        Ok(None)
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let sets = context.list(ANSWERS);
        let tasks = self.task.as_ref().map(|tasks| tasks.for_inputs(sets.len())).unwrap_or_default();
        let mut measurement = Measurement::start(context)?;
        for (done, path) in sets.iter().enumerate() {
            let task = tasks.get(done).ok_or_else(|| failed("no task says how the answers are judged"))?;
            let judge = Judge::new(task).map_err(failed)?;
            measurement.add(&artifact::answers::read(path).map_err(failed)?, &judge)?;
            context.tell(done as u64 + 1, sets.len() as u64, "sets", []);
        }
        measurement.finish()
    }
}

/// Measures answers, and writes the artifact of the output port `metrics`.
struct Measurement<'a> {
    context: &'a StageContext<'a>,
    writer: MetricsWriter,
}

impl<'a> Measurement<'a> {
    fn start(context: &'a StageContext<'a>) -> Result<Self, StageError> {
        let writer = MetricsWriter::create(context.outputs.join("metrics")).map_err(failed)?;
        Ok(Self { context, writer })
    }

    /// Judges, writes and measures the answers to one data set.
    fn add(&mut self, answers: &[Answer], judge: &Judge) -> Result<(), StageError> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(answers.len());
        for (done, answer) in answers.iter().enumerate() {
            self.context.pause(done)?;
            outcomes.push(judge.judge(answer).map_err(failed)?);
        }
        self.writer.write_answers(answers, &outcomes).map_err(failed)?;
        let mut measured = metrics::measure(&outcomes);
        // Only where there are some: other metrics stay as they are.
        let failed = answers.iter().filter(|answer| answer.failed.is_some()).count() as u64;
        if failed > 0 {
            measured.insert(metrics::names::FAILED, failed);
        }
        self.writer.add(measured);
        Ok(())
    }

    fn finish(self) -> Result<(), StageError> {
        self.writer.finish().map_err(failed)
    }
}

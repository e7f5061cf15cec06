//! `generate`: draws a task's problems and their splits.

use figment::error::Kind as Wrong;
use figment::value::Value;
use schemars::Schema;
use serde::Deserialize;
use serde_json::json;

use super::{Job, Kind, Output, PortType, Stage, StageError};
use crate::task::{self, Problems, Splits, Task};

pub(super) static KIND: Kind = Kind {
    name: "generate",
    version: 1,
    inputs: &[],
    outputs: &[
        Output::of("train", PortType::Dataset),
        Output::of("skipped", PortType::Dataset),
        Output::of("development", PortType::Dataset),
        Output::of("in_domain", PortType::Dataset),
        Output::of("ood_easy", PortType::Dataset),
        Output::of("ood_hard", PortType::Dataset),
    ],
    named: &[],
    parse,
    schema,
    follows_seed: false,
};

/// The problems of one task.
struct Generate {
    task: &'static str,
    problems: Box<dyn Problems>,
}

/// The param that says whose the others are.
#[derive(Deserialize)]
struct Which {
    task: String,
}

fn parse(params: &Value) -> Result<Box<dyn Stage>, figment::Error> {
    let Which { task } = params.deserialize()?;
    let Some(task) = find(&task) else {
        return Err(figment::Error::from(Wrong::UnknownVariant(task, task::names())).with_path("task"));
    };
    let mut others = params.clone();
    if let Value::Dict(_, fields) = &mut others {
        fields.remove("task");
    }
    Ok(Box::new(Generate {
        task: task.name(),
        problems: task.read(&others)?,
    }))
}

fn find(name: &str) -> Option<&'static dyn Task> {
    task::tasks().iter().copied().find(|task| task.name() == name)
}

/// The params of all tasks together, and `task`.
fn schema() -> Schema {
    let mut all = json!({"type": "object", "additionalProperties": false, "required": ["task"]});
    for task in task::tasks() {
        let schema = task.schema();
        for part in ["properties", "$defs"] {
            if let Some(serde_json::Value::Object(entries)) = schema.get(part) {
                for (name, entry) in entries {
                    all[part][name] = entry.clone();
                }
            }
        }
    }
    all["properties"]["task"] = json!({"description": "Which task's problems.", "enum": task::names()});
    // Built as an object above.
    Schema::try_from(all).unwrap_or_default()
}

impl Stage for Generate {
    fn params(&self) -> serde_json::Value {
        let mut params = self.problems.params();
        params["task"] = json!(self.task);
        params
    }

    fn draws(&self) -> bool {
        true
    }

    fn run(&self, job: &Job<'_>) -> Result<(), StageError> {
        let splits = self.problems.generate(job.seed);
        let Splits {
            train,
            skipped,
            development,
            in_domain,
            ood_easy,
            ood_hard,
        } = &splits;
        let ports = KIND.outputs.iter().map(|output| output.name);
        let sets = [train, skipped, development, in_domain, ood_easy, ood_hard];
        let total = sets.iter().map(|rows| rows.len() as u64).sum();
        let mut done = 0;
        for (port, rows) in ports.zip(sets) {
            job.pause(0)?;
            job.write(port, rows)?;
            done += rows.len() as u64;
            job.tell(done, total, "rows", []);
        }
        Ok(())
    }
}

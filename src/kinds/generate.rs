//! `generate`: draws a task's problems and their splits.

use std::collections::BTreeMap;

use schemars::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::data_sets::DataSets;
use crate::task::{self, Problems, Splits, Task};
use crate::task_table::{CarriedTasks, TaskTable};
use lab::config::{ConfigValue, ParamError};
use lab::stage::{Carried, Effort, InputSizes, Kind, Output, PortType, Stage, StageContext, StageError};

pub(super) static KIND: Kind = Kind {
    name: "generate",
    version: 1,
    inputs: &[],
    free: false,
    outputs: &[
        Output::of("train", PortType::Dataset),
        Output::of("skipped", PortType::Dataset),
        Output::of("development", PortType::Dataset),
        Output::of("in_domain", PortType::Dataset),
        Output::of("ood_easy", PortType::Dataset),
        Output::of("ood_hard", PortType::Dataset),
    ],
    named: &[],
    command_line: None,
    gpus: None,
    implied: &[],
    parse,
    schema,
    follows_seed: false,
    effort,
    shares_worker: true,
};

/// The params that say how many problems there are.
const COUNTS: [&str; 5] = ["train", "development", "in_domain", "ood_easy", "ood_hard"];

fn effort(params: &Value, _: &InputSizes) -> Option<Effort> {
    let counts = COUNTS.iter().filter_map(|name| params.get(name)?.as_f64());
    let problems: f64 = counts.sum();
    Some(Effort {
        unit: "problems",
        work: problems,
        size: problems,
    })
}

/// The problems of one task.
struct Generate {
    task: &'static str,
    problems: Box<dyn Problems>,
}

/// The param that decides which others there are.
#[derive(Deserialize)]
struct TaskParam {
    task: String,
}

fn parse(params: &ConfigValue, _given: &[&str]) -> Result<Box<dyn Stage>, ParamError> {
    let TaskParam { task } = params.read()?;
    let Some(task) = find(&task) else {
        return Err(ParamError::unknown_name("task", task, task::drawn_names()));
    };
    let mut others = params.clone();
    others.as_table_mut().and_then(|fields| fields.remove("task"));
    Ok(Box::new(Generate {
        task: task.name(),
        problems: task.read(&others)?,
    }))
}

/// The tasks whose problems are drawn.
fn drawn() -> impl Iterator<Item = &'static dyn Task> {
    task::tasks().iter().copied().filter(|task| task.published().is_none())
}

fn find(name: &str) -> Option<&'static dyn Task> {
    task::tasks().iter().copied().find(|task| task.name() == name)
}

/// The params of all tasks together, and `task`.
fn schema() -> Schema {
    let mut params: BTreeMap<String, Vec<(&str, Value)>> = BTreeMap::new();
    let mut definitions = serde_json::Map::new();
    for task in drawn() {
        let mut schema = task.schema().to_value();
        // Tasks that share a type share its definition; a test checks that no two types share a name.
        definitions.extend(fields(&mut schema, "$defs"));
        for (name, param) in fields(&mut schema, "properties") {
            params.entry(name).or_default().push((task.name(), param));
        }
    }
    let mut properties: serde_json::Map<_, _> = params.into_iter().map(|(name, by_task)| (name, either(by_task))).collect();
    let task = json!({"description": "Which task's problems.", "enum": task::drawn_names()});
    properties.insert("task".to_owned(), task);
    let all = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["task"],
        "properties": properties,
        "$defs": definitions,
    });
    // Built as an object just now.
    Schema::try_from(all).unwrap_or_default()
}

/// Takes the entries of one part out of a schema.
fn fields(schema: &mut Value, part: &str) -> serde_json::Map<String, Value> {
    match schema.get_mut(part).map(Value::take) {
        Some(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    }
}

/// The schema of a param that several tasks may have in different forms; common parts appear once.
fn either(mut by_task: Vec<(&str, Value)>) -> Value {
    let mut agreed = |part: &str| {
        let mut said: Vec<(&str, Value)> = Vec::new();
        for (task, param) in &mut by_task {
            let value = param.as_object_mut().and_then(|fields| fields.remove(part)).unwrap_or_default();
            said.push((task, value));
        }
        let first = said.first().map(|(_, value)| value.clone()).unwrap_or_default();
        (said.iter().all(|(_, value)| *value == first), first, said)
    };
    let (is_one, mut description, said) = agreed("description");
    if !is_one {
        let texts = said
            .iter()
            .map(|(task, text)| format!("{task}: {}", text.as_str().unwrap_or_default()));
        description = texts.collect::<Vec<_>>().join(" ").into();
    }
    let (has_default, default, _) = agreed("default");
    let mut schemas: Vec<Value> = by_task.into_iter().map(|(_, param)| param).collect();
    schemas.dedup();
    let mut either = match schemas.as_slice() {
        [one] => one.clone(),
        several => json!({ "anyOf": several }),
    };
    either["description"] = description;
    if has_default && !default.is_null() {
        either["default"] = default;
    }
    either
}

impl Stage for Generate {
    fn params(&self) -> Value {
        let mut params = self.problems.params();
        params["task"] = json!(self.task);
        params
    }

    fn carry(&mut self, _: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        Ok(CarriedTasks::of(TaskTable::known(self.task)).into_value())
    }

    fn draws(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let splits = self.problems.generate(context.seed);
        let Splits {
            train,
            skipped,
            development,
            in_domain,
            ood_easy,
            ood_hard,
        } = &splits;
        let ports = KIND.outputs.iter().map(|output| output.name.as_ref());
        let sets = [train, skipped, development, in_domain, ood_easy, ood_hard];
        let total = sets.iter().map(|rows| rows.len() as u64).sum();
        let mut done = 0;
        for (port, rows) in ports.zip(sets) {
            context.pause(0)?;
            context.write_rows(port, rows)?;
            done += rows.len() as u64;
            context.tell(done, total, "rows", []);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_types_share_a_name() {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        for task in task::tasks() {
            for (name, definition) in fields(&mut task.schema().to_value(), "$defs") {
                let first = known.entry(name.clone()).or_insert_with(|| definition.clone());
                assert_eq!(
                    *first, definition,
                    "`{name}` is another type in an earlier task; give one of them another name"
                );
            }
        }
    }

    #[test]
    fn params_that_tasks_have_in_their_own_ways_are_either() {
        let schema = schema().to_value();
        insta::assert_json_snapshot!([&schema["properties"]["start"], &schema["properties"]["train"], &schema["properties"]["merge"]], @r##"
        [
          {
            "$ref": "#/$defs/Start",
            "default": "cold",
            "description": "Whether there are hand-made skips (the port `skipped`) to begin with."
          },
          {
            "description": "Number of training problems.",
            "format": "uint64",
            "minimum": 0,
            "type": "integer"
          },
          {
            "anyOf": [
              {
                "$ref": "#/$defs/Merge"
              },
              {
                "$ref": "#/$defs/Pair"
              }
            ],
            "default": "any",
            "description": "addition: Which two neighbouring digit positions a hand-made skip does in one step. algebra: Which two neighbouring steps a hand-made skip does in one."
          }
        ]
        "##);
    }
}

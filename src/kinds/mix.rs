//! `mix`: puts full-step rows and skips together, in random order.

use std::collections::HashSet;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::data_sets::DataSets;
use crate::task_table::CarriedTasks;
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::Row;
use learn::seed::Stream;

pub(super) static KIND: Kind = Kind {
    name: "mix",
    version: 4,
    inputs: &[
        Input::list("full", PortType::Dataset, true),
        Input::list("skips", PortType::Dataset, true),
    ],
    free: false,
    outputs: &[Output::of("data", PortType::Dataset)],
    named: &[],
    command_line: None,
    implied: &[],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Mix),
    follows_seed: true,
};

/// How full-step rows and skips are put together.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Mix {
    /// Which rows are taken.
    mode: Mode,
}

/// Which rows are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// All full-step rows and all skips.
    #[default]
    New,
    /// All skips, and as many full-step rows, chosen at random.
    Cont,
    /// All skips.
    OnlySkip,
}

fn read(params: &ConfigValue) -> Result<Mix, ParamError> {
    params.read()
}

impl Stage for Mix {
    fn params(&self) -> serde_json::Value {
        json!(self)
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<serde_json::Value>, ParamError> {
        Ok(CarriedTasks::from(inputs.all()).into_value())
    }

    fn draws(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let skips = once(context.rows("skips")?, []);
        let mut full = once(context.rows("full")?, &skips);
        if self.mode != Mode::OnlySkip && context.list("full").is_empty() {
            return Err(failed("`full` is missing; give it, or set `mode = \"only-skip\"`"));
        }
        match self.mode {
            Mode::New => {}
            Mode::Cont => {
                Stream::new(context.seed, "mix choice").shuffle(&mut full);
                full.truncate(skips.len());
            }
            Mode::OnlySkip => full.clear(),
        }
        let mut mixed = full;
        mixed.extend(skips);
        Stream::new(context.seed, "mix order").shuffle(&mut mixed);
        context.tell(mixed.len() as u64, mixed.len() as u64, "rows", []);
        context.write_rows("data", &mixed)
    }
}

/// The rows without repeated pairs of question and solution, and without the pairs in `others`.
fn once<'a>(mut rows: Vec<Row>, others: impl IntoIterator<Item = &'a Row>) -> Vec<Row> {
    let texts = |row: &Row| (row.prompt.clone(), row.completion.clone());
    let mut seen: HashSet<_> = others.into_iter().map(texts).collect();
    rows.retain(|row| seen.insert(texts(row)));
    rows
}

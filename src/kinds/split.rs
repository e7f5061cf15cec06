//! `split`: divides data sets by the number of steps of their solutions.

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
    name: "split",
    version: 3,
    inputs: &[
        Input::list("training", PortType::Dataset, false),
        Input::list("testing", PortType::Dataset, true),
    ],
    free: false,
    outputs: &[
        Output::of("train", PortType::Dataset),
        Output::of("development", PortType::Dataset),
        Output::of("train_ood", PortType::Dataset),
        Output::of("test_id", PortType::Dataset),
        Output::of("test_ood", PortType::Dataset),
    ],
    named: &[],
    command_line: None,
    implied: &[],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Split),
    follows_seed: false,
};

/// Divides rows into those within the domain, with few steps, and those beyond it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Split {
    /// A solution with more steps is beyond the domain.
    steps: u32,
    /// Number of training rows within the domain, chosen at random; left out, all that `development` leaves.
    train: Option<usize>,
    /// Number of further training rows within the domain, for choosing settings.
    development: usize,
    /// Number of training rows beyond the domain; left out, all.
    train_ood: Option<usize>,
    /// Number of test rows within the domain; left out, all.
    test_id: Option<usize>,
    /// Number of test rows beyond the domain; left out, all.
    test_ood: Option<usize>,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            steps: 4,
            train: None,
            development: 0,
            train_ood: None,
            test_id: None,
            test_ood: None,
        }
    }
}

fn read(params: &ConfigValue) -> Result<Split, ParamError> {
    params.read()
}

impl Stage for Split {
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
        let within = |row: &Row| row.step_num <= self.steps;
        let (mut inside, outside): (Vec<Row>, Vec<Row>) = context.rows("training")?.into_iter().partition(within);
        let (test_id, test_ood): (Vec<Row>, Vec<Row>) = context.rows("testing")?.into_iter().partition(within);
        let development = take(&mut inside, "development", Some(self.development), context.seed)?;
        let mut written = 0;
        let sets = [
            ("train", inside, self.train),
            ("development", development, None),
            ("train_ood", outside, self.train_ood),
            ("test_id", test_id, self.test_id),
            ("test_ood", test_ood, self.test_ood),
        ];
        for (port, mut rows, count) in sets {
            let rows = take(&mut rows, port, count, context.seed)?;
            written += rows.len() as u64;
            context.write_rows(port, &rows)?;
        }
        context.tell(written, written, "rows", []);
        Ok(())
    }
}

/// Removes `count` rows, chosen at random, and returns them in their order; all rows for `None`.
fn take(rows: &mut Vec<Row>, port: &str, count: Option<usize>, seed: u64) -> Result<Vec<Row>, StageError> {
    let Some(count) = count else { return Ok(std::mem::take(rows)) };
    if count > rows.len() {
        return Err(failed(format!(
            "`{port} = {count}` is more than the {} rows that are left",
            rows.len()
        )));
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    Stream::new(seed, &format!("split {port}")).shuffle(&mut order);
    let mut chosen = vec![false; rows.len()];
    for place in order.into_iter().take(count) {
        chosen[place] = true;
    }
    let mut chosen = chosen.into_iter();
    Ok(rows.extract_if(.., |_| chosen.next() == Some(true)).collect())
}

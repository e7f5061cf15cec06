//! `split`: divides data sets by the number of steps of their solutions, and at random.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::data_sets::DataSets;
use crate::selection::amount::{Amount, StepLimit};
use crate::selection::record;
use crate::selection::shares;
use crate::task_table::CarriedTasks;
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Effort, ImpliedParam, Input, Kind, Output, PortType, Stage, StageContext, StageError};
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
    gpus: None,
    implied: &[ImpliedParam {
        path: &["stratify"],
        value: || Value::Null,
    }],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Split),
    follows_seed: false,
    effort: Effort::of_inputs,
    shares_worker: true,
};

/// Divides rows into those within the domain, with few steps, and those beyond it. A number of rows may be a share below 1.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Split {
    /// A solution with more steps is beyond the domain; `"any"`: none is.
    steps: StepLimit,
    /// Training rows within the domain, chosen at random; left out, all that `development` leaves.
    train: Option<Amount>,
    /// Further training rows within the domain, for choosing settings.
    development: Amount,
    /// Training rows beyond the domain; left out, all.
    train_ood: Option<Amount>,
    /// Test rows within the domain; left out, all.
    test_id: Option<Amount>,
    /// Test rows beyond the domain; left out, all.
    test_ood: Option<Amount>,
    /// A field whose values keep their shares in what is chosen at random.
    stratify: Option<String>,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            steps: StepLimit::AtMost(4),
            train: None,
            development: Amount::Rows(0),
            train_ood: None,
            test_id: None,
            test_ood: None,
            stratify: None,
        }
    }
}

fn read(params: &ConfigValue) -> Result<Split, ParamError> {
    params.read()
}

impl Stage for Split {
    fn params(&self) -> Value {
        json!(self)
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        Ok(CarriedTasks::from(inputs.all()).into_value())
    }

    fn draws(&self) -> bool {
        true
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let within = |row: &Row| self.steps.allows(row.step_num);
        let (mut inside, outside): (Vec<Row>, Vec<Row>) = context.rows("training")?.into_iter().partition(within);
        let (test_id, test_ood): (Vec<Row>, Vec<Row>) = context.rows("testing")?.into_iter().partition(within);
        // Shares are of all rows within the domain, whatever was taken of them before.
        let (in_domain, all) = (inside.len(), |rows: &Vec<Row>| rows.len());
        let development = self.take(&mut inside, "development", Some(self.development), (in_domain, context.seed))?;
        let (of_outside, of_id, of_ood) = (all(&outside), all(&test_id), all(&test_ood));
        let of_development = development.len();
        let sets = [
            ("train", inside, self.train, in_domain),
            ("development", development, None, of_development),
            ("train_ood", outside, self.train_ood, of_outside),
            ("test_id", test_id, self.test_id, of_id),
            ("test_ood", test_ood, self.test_ood, of_ood),
        ];
        let mut written = 0;
        for (port, mut rows, amount, whole) in sets {
            let rows = self.take(&mut rows, port, amount, (whole, context.seed))?;
            written += rows.len() as u64;
            context.write_rows(port, &rows)?;
        }
        if written == 0 {
            (context.warn)("there are no rows to divide: all data sets are empty");
        }
        context.tell(written, written, "rows", []);
        Ok(())
    }
}

impl Split {
    /// Removes rows, chosen at random, and returns them in their order; all rows for `None`. A share is one of `whole` rows.
    fn take(&self, rows: &mut Vec<Row>, port: &str, amount: Option<Amount>, (whole, seed): (usize, u64)) -> Result<Vec<Row>, StageError> {
        let Some(amount) = amount else { return Ok(std::mem::take(rows)) };
        let count = amount.of(whole);
        if count > rows.len() {
            return Err(failed(format!(
                "`{port} = {amount}` is more than the {} rows that are left",
                rows.len()
            )));
        }
        let groups = match &self.stratify {
            None => vec![0; rows.len()],
            Some(field) => {
                let value = |row: &Row| record::needed_field(row, field).map(|value| value.to_string());
                let values = rows.iter().map(value).collect::<Result<Vec<_>, _>>();
                shares::groups(values.map_err(failed)?)
            }
        };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        Stream::new(seed, &format!("split {port}")).shuffle(&mut order);
        let mut chosen = shares::choose(&order, &groups, count).into_iter();
        Ok(rows.extract_if(.., |_| chosen.next() == Some(true)).collect())
    }
}

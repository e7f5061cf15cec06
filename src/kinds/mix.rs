//! `mix`: puts data sets together: full-step rows and skips, or any data sets in proportions.

use std::collections::{BTreeMap, HashSet};

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::select::check_order;
use crate::artifact::data_set;
use crate::data_sets::DataSets;
use crate::selection::ids::UniqueIds;
use crate::selection::length::Measured;
use crate::selection::mixture::{self, Proportions};
use crate::selection::order::RowOrder;
use crate::task_table::CarriedTasks;
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Effort, ImpliedParam, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::{JsonLinesWriter, Row};
use learn::seed::Stream;

pub(super) static KIND: Kind = Kind {
    name: "mix",
    version: 4,
    inputs: &[
        Input::list("full", PortType::Dataset, true),
        Input::list("skips", PortType::Dataset, true),
        Input::list("data", PortType::Dataset, true),
    ],
    free: false,
    outputs: &[Output::of("data", PortType::Dataset)],
    named: &[],
    command_line: None,
    gpus: None,
    implied: &[
        ImpliedParam {
            path: &["weights"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["repetitions"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["size"],
            value: || Value::Null,
        },
        ImpliedParam {
            path: &["order"],
            value: || json!("shuffle"),
        },
    ],
    parse: |params, _given| Ok(Box::new(read(params)?)),
    schema: || schema_for!(Mix),
    follows_seed: true,
    effort: Effort::of_inputs,
    shares_worker: true,
};

/// The most rows of a mixture.
const MAX_SIZE: usize = 100_000_000;

/// How full-step rows and skips are put together, or any data sets in proportions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Mix {
    /// Which rows of `full` and `skips` are taken.
    mode: Mode,
    /// The shares of the data sets of `data` in the mixture, as weights in their order.
    weights: Option<Vec<f64>>,
    /// How often each row of the data sets of `data` is in the mixture, in their order; of a fraction, as many rows by chance.
    repetitions: Option<Vec<f64>>,
    /// The number of rows of a mixture of `data`. Left out, with `weights`: as many as there can be without repeating one.
    size: Option<usize>,
    /// The order of the rows.
    order: RowOrder,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            mode: Mode::New,
            weights: None,
            repetitions: None,
            size: None,
            order: RowOrder::Shuffle,
        }
    }
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
    let mix: Mix = params.read()?;
    mix.check()?;
    Ok(mix)
}

impl Mix {
    fn check(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: String| Err(ParamError::new(field, message));
        for (name, numbers) in self.lists() {
            if let Some(number) = numbers.iter().find(|number| !(**number >= 0.0 && number.is_finite())) {
                return wrong(name, format!("{number} is out of range, it must be a number from 0 on"));
            }
            if numbers.iter().all(|number| *number == 0.0) {
                return wrong(
                    name,
                    "no data set has any rows in the mixture; make one of them larger than 0".to_owned(),
                );
            }
        }
        let other = |name: &str| format!("`{name}` is given, too, and decides the same; leave one of both out");
        match self {
            Self {
                repetitions: Some(_),
                weights: Some(_),
                ..
            } => wrong("repetitions", other("weights")),
            Self {
                repetitions: Some(_),
                size: Some(_),
                ..
            } => wrong("repetitions", other("size")),
            Self { size: Some(size), .. } if !(1..=MAX_SIZE).contains(size) => {
                wrong("size", format!("{size} is out of range, it must be from 1 to {MAX_SIZE}"))
            }
            _ => check_order(&self.order),
        }
    }

    /// The lists with a number for each data set, by name.
    fn lists(&self) -> impl Iterator<Item = (&'static str, &[f64])> {
        let lists = [("weights", &self.weights), ("repetitions", &self.repetitions)];
        lists.into_iter().filter_map(|(name, list)| Some((name, list.as_deref()?)))
    }

    fn proportions(&self) -> Proportions<'_> {
        match (&self.repetitions, &self.weights, self.size) {
            (Some(repetitions), ..) => Proportions::Repetitions(repetitions),
            (None, Some(weights), size) => Proportions::Weights(weights, size),
            (None, None, Some(size)) => Proportions::Size(size),
            (None, None, None) => Proportions::All,
        }
    }

    /// Puts full-step rows and skips together.
    fn mix_skips(&self, context: &StageContext<'_>) -> Result<(), StageError> {
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
        let places = self.places(mixed.iter(), context)?;
        let mixed: Vec<&Row> = places.into_iter().map(|place| &mixed[place]).collect();
        write(&mixed, None, context)
    }

    /// Puts data sets together in proportions.
    fn mix_data(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let mut sets: Vec<Vec<Row>> = Vec::new();
        for path in context.list("data") {
            sets.push(data_set::read(path).map_err(failed)?);
            context.pause(0)?;
        }
        let lengths: Vec<usize> = sets.iter().map(Vec::len).collect();
        let counts = self.proportions().counts(&lengths);
        self.warn_of_empty(&lengths, context);
        let size: usize = counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
        if size > MAX_SIZE {
            return Err(failed(format!(
                "the mixture has {size} rows, and may have {MAX_SIZE}; lower `repetitions`"
            )));
        }
        let mut picked: Vec<&Row> = Vec::with_capacity(size);
        for (number, (rows, count)) in sets.iter().zip(&counts).enumerate() {
            let mut stream = Stream::new(context.seed, &format!("mix data {number}"));
            let picks = mixture::picks(rows.len(), *count, &mut stream).into_iter();
            picked.extend(picks.filter_map(|place| rows.get(place)));
        }
        let places = self.places(picked.iter().copied(), context)?;
        let mixed: Vec<&Row> = places.into_iter().map(|place| picked[place]).collect();
        write(&mixed, Some(&counts), context)
    }

    /// Warns of data sets whose rows are missing from the mixture, because they have none.
    fn warn_of_empty(&self, lengths: &[usize], context: &StageContext<'_>) {
        let wanted = self.lists().next().map(|(_, numbers)| numbers);
        for (place, _) in lengths.iter().enumerate().filter(|(_, length)| **length == 0) {
            if wanted.is_none_or(|numbers| numbers.get(place).is_some_and(|number| *number > 0.0)) {
                (context.warn)(&format!("data set {} of `data` has no rows; the mixture is without it", place + 1));
            }
        }
    }

    /// The places of the rows in the order of the mixture.
    fn places<'a>(&self, rows: impl Iterator<Item = &'a Row>, context: &StageContext<'_>) -> Result<Vec<usize>, StageError> {
        let measured: Vec<Measured<'_>> = rows.map(Measured::of).collect();
        let mut stream = Stream::new(context.seed, "mix order");
        self.order.places(&measured, &mut stream).map_err(failed)
    }
}

impl Stage for Mix {
    fn params(&self) -> Value {
        json!(self)
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        Ok(CarriedTasks::from(inputs.all()).into_value())
    }

    fn draws(&self) -> bool {
        true
    }

    fn check_inputs(&self, inputs: &BTreeMap<String, usize>) -> Result<(), ParamError> {
        let count = |port: &str| inputs.get(port).copied().unwrap_or_default();
        let sets = count("data");
        if sets == 0 {
            let needs_data = self.lists().map(|(name, _)| name).chain(self.size.map(|_| "size")).next();
            return needs_data.map_or(Ok(()), |name| {
                Err(ParamError::new(
                    name,
                    "is of the data sets of `data`, which is missing; name them there",
                ))
            });
        }
        if count("full") + count("skips") > 0 {
            let message = "a mixture of `data` has no `full` and no `skips`; name all data sets in `data`, or none";
            return Err(ParamError::new("data", message));
        }
        if self.mode != Mode::New {
            return Err(ParamError::new(
                "mode",
                "is for `full` and `skips`; a mixture of `data` has `weights` or `repetitions`",
            ));
        }
        let wrong = self.lists().find(|(_, numbers)| numbers.len() != sets);
        wrong.map_or(Ok(()), |(name, numbers)| {
            let message = format!(
                "has {} numbers for the {sets} data sets of `data`; give one for each, in their order",
                numbers.len()
            );
            Err(ParamError::new(name, message))
        })
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        if context.list("data").is_empty() {
            self.mix_skips(context)
        } else {
            self.mix_data(context)
        }
    }
}

/// Writes the rows. Those of `data` get ids of their own, and `counts` says how many there are of each data set.
fn write(rows: &[&Row], counts: Option<&[usize]>, context: &StageContext<'_>) -> Result<(), StageError> {
    let mut writer = JsonLinesWriter::create(&context.outputs.join("data")).map_err(failed)?;
    let mut ids = UniqueIds::default();
    for (done, row) in rows.iter().enumerate() {
        context.pause(done)?;
        if counts.is_some() {
            let id = ids.of(&row.id);
            let numbered = (id != row.id).then(|| Row { id, ..(*row).clone() });
            writer.write(numbered.as_ref().unwrap_or(row)).map_err(failed)?;
        } else {
            writer.write(row).map_err(failed)?;
        }
    }
    let all = rows.len() as u64;
    let counts = counts.unwrap_or_default().iter().enumerate();
    (context.progress)(lab::event::Progress {
        done: all,
        total: all,
        unit: "rows".to_owned(),
        readings: counts.map(|(place, count)| (format!("set_{}", place + 1), *count as f64)).collect(),
    });
    if all == 0 {
        (context.warn)("the mixture has no rows: the data sets are empty, or their shares are below one row");
    }
    writer.finish().map_err(failed)
}

/// The rows without repeated pairs of question and solution, and without the pairs in `others`.
fn once<'a>(mut rows: Vec<Row>, others: impl IntoIterator<Item = &'a Row>) -> Vec<Row> {
    let texts = |row: &Row| (row.prompt.clone(), row.completion.clone());
    let mut seen: HashSet<_> = others.into_iter().map(texts).collect();
    rows.retain(|row| seen.insert(texts(row)));
    rows
}

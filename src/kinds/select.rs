//! `select`: keeps some rows of data sets, and says what it dropped.

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dropped;
use super::filter::{check_conditions, refused_by_condition};
use crate::data_sets::DataSets;
use crate::selection::conditions::Condition;
use crate::selection::contamination::{self, TestQuestions};
use crate::selection::duplicates::{DuplicateOf, Duplicates, SearchError};
use crate::selection::ids::UniqueIds;
use crate::selection::length::{Bounds, Measured};
use crate::selection::order::RowOrder;
use crate::selection::record;
use crate::selection::shares;
use crate::selection::tally::Tally;
use crate::task_table::CarriedTasks;
use lab::config::{ConfigValue, ParamError};
use lab::stage::failed;
use lab::stage::{Carried, Effort, Input, Kind, Output, PortType, Stage, StageContext, StageError};
use learn::dataset::Row;
use learn::seed::Stream;

/// The input that has the test sets.
const DECONTAMINATE: &str = "decontaminate";

/// The reasons that have no param of their own.
const CONTAMINATED: &str = "contaminated";
const NOT_SELECTED: &str = "not_selected";

pub(super) static KIND: Kind = Kind {
    name: "select",
    version: 1,
    inputs: &[
        Input::list("data", PortType::Dataset, false),
        Input::list(DECONTAMINATE, PortType::Dataset, true),
    ],
    free: false,
    outputs: &[Output::of("data", PortType::Dataset), Output::of("dropped", PortType::Metrics)],
    named: &[],
    command_line: None,
    gpus: None,
    implied: &[],
    parse: |params, given| Ok(Box::new(read(params, given)?)),
    schema: || schema_for!(Select),
    follows_seed: true,
    effort: Effort::of_inputs,
    shares_worker: true,
};

/// Keeps some rows of data sets. What is asked for is done in the order of these params.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Select {
    /// What fields of a row must be.
    #[serde(rename = "where")]
    conditions: Vec<Condition>,
    /// The fewest steps of a kept solution.
    min_steps: Option<u64>,
    /// The most steps of a kept solution.
    max_steps: Option<u64>,
    /// The fewest characters of a kept solution.
    min_characters: Option<u64>,
    /// The most characters of a kept solution.
    max_characters: Option<u64>,
    /// What becomes of rows with the same text, or nearly the same.
    duplicates: Duplicates,
    /// With the input `decontaminate`: so many words in a row that are in a test question, too, make a row drop out.
    #[schemars(range(min = 1))]
    decontaminate_n: usize,
    /// The order of the rows.
    order: RowOrder,
    /// The most rows with one value of `per`: the first in `order`.
    #[schemars(range(min = 1))]
    topk: Option<usize>,
    /// The field that `topk` counts by.
    per: String,
    /// The number of rows: the first in `order`.
    select_num: Option<usize>,
    /// The number of rows as a share of those that are left: the first in `order`.
    #[schemars(range(min = 0.0, max = 1.0))]
    select_ratio: Option<f64>,
    /// A field whose values keep their shares when a number is selected.
    stratify: Option<String>,
}

impl Default for Select {
    fn default() -> Self {
        Self {
            conditions: Vec::new(),
            min_steps: None,
            max_steps: None,
            min_characters: None,
            max_characters: None,
            duplicates: Duplicates::Keep,
            decontaminate_n: contamination::USUAL_WORDS,
            order: RowOrder::AsIs,
            topk: None,
            per: "prompt".to_owned(),
            select_num: None,
            select_ratio: None,
            stratify: None,
        }
    }
}

fn read(params: &ConfigValue, given: &[&str]) -> Result<Select, ParamError> {
    let select: Select = params.read()?;
    select.check()?;
    if select.decontaminate_n != contamination::USUAL_WORDS && !given.contains(&DECONTAMINATE) {
        let message = "there are no test sets to compare with; name them: `decontaminate = \"cases.test\"`";
        return Err(ParamError::new("decontaminate_n", message));
    }
    Ok(select)
}

impl Select {
    fn check(&self) -> Result<(), ParamError> {
        let wrong = |field: &str, message: &str| Err(ParamError::new(field, message));
        check_conditions(&self.conditions)?;
        for bounds in self.lengths() {
            if let Some((field, message)) = bounds.problem() {
                return wrong(field, &message);
            }
        }
        if let Duplicates::Drop(rule) = &self.duplicates
            && let Some((field, message)) = rule.problem()
        {
            return Err(ParamError::new(field, message).within("duplicates"));
        }
        check_order(&self.order)?;
        match self {
            Self { decontaminate_n: 0, .. } => wrong("decontaminate_n", "0 is too small, it must be at least 1"),
            Self { topk: Some(0), .. } => wrong("topk", "0 is too small, it must be at least 1"),
            Self { topk: None, per, .. } if per != "prompt" => wrong("per", "`topk` is missing: how many rows of each value?"),
            Self {
                select_num: Some(_),
                select_ratio: Some(_),
                ..
            } => wrong("select_ratio", "`select_num` is given, too; leave one of both out"),
            Self {
                select_ratio: Some(ratio), ..
            } if !(*ratio > 0.0 && *ratio <= 1.0) => {
                let message = format!("{ratio} is out of range, it must be above 0 and at most 1");
                wrong("select_ratio", &message)
            }
            Self {
                select_num: None,
                select_ratio: None,
                stratify: Some(_),
                ..
            } => wrong("stratify", "all rows are kept; give `select_num` or `select_ratio`"),
            _ => Ok(()),
        }
    }

    fn lengths(&self) -> [Bounds; 2] {
        let bounds = |names, min, max| Bounds { names, min, max };
        [
            bounds(["min_steps", "max_steps"], self.min_steps, self.max_steps),
            bounds(["min_characters", "max_characters"], self.min_characters, self.max_characters),
        ]
    }

    /// Why a row is dropped, for what it is by itself.
    fn refusal(&self, row: &Row) -> Result<Option<String>, StageError> {
        if let Some(reason) = refused_by_condition(&self.conditions, row)? {
            return Ok(Some(reason));
        }
        let measured = Measured::of(row);
        let values = [measured.steps.into(), measured.characters as u64];
        let broken = self
            .lengths()
            .into_iter()
            .zip(values)
            .find_map(|(bounds, value)| bounds.broken(value));
        Ok(broken.map(str::to_owned))
    }

    /// The number of rows that are selected of `rows`.
    fn number(&self, rows: usize) -> usize {
        let ratio = self.select_ratio.map(|ratio| shares::share_of(ratio, rows));
        self.select_num.or(ratio).unwrap_or(rows)
    }
}

/// Refuses an order that rows do not have.
pub(super) fn check_order(order: &RowOrder) -> Result<(), ParamError> {
    if order.needs_tokens() {
        let message = "rows have no number of tokens, answers have: select among these with `filter`, or use `fewest_characters`";
        return Err(ParamError::new("order", message));
    }
    Ok(())
}

impl Stage for Select {
    fn params(&self) -> Value {
        json!(self)
    }

    fn carry(&mut self, inputs: &Carried<'_>) -> Result<Option<Value>, ParamError> {
        Ok(CarriedTasks::from(inputs.at("data")).into_value())
    }

    fn draws(&self) -> bool {
        self.order.draws()
    }

    fn run(&self, context: &StageContext<'_>) -> Result<(), StageError> {
        let all = context.rows("data")?;
        let mut pool = Pool {
            context,
            rows: all.iter().collect(),
            tally: Tally::default(),
        };
        pool.drop_refused(self)?;
        pool.drop_duplicates(&self.duplicates)?;
        pool.drop_contaminated(self.decontaminate_n)?;
        pool.put_in_order(&self.order)?;
        pool.take(self)?;
        dropped::tell(context, "rows", all.len(), &pool.tally);
        dropped::write(context, all.len(), &pool.tally)?;
        let mut ids = UniqueIds::default();
        let rows = pool.rows.into_iter().map(|row| Row {
            id: ids.of(&row.id),
            ..row.clone()
        });
        context.write_rows("data", &rows.collect::<Vec<_>>())
    }
}

/// The rows that are left.
struct Pool<'a> {
    context: &'a StageContext<'a>,
    rows: Vec<&'a Row>,
    tally: Tally,
}

impl<'a> Pool<'a> {
    /// Drops the rows for which there is a reason, with a detail.
    fn drop_by(
        &mut self,
        mut reason: impl FnMut(usize, &'a Row) -> Result<Option<(String, String)>, StageError>,
    ) -> Result<(), StageError> {
        let mut left = Vec::with_capacity(self.rows.len());
        for (place, row) in std::mem::take(&mut self.rows).into_iter().enumerate() {
            self.context.pause(place)?;
            match reason(place, row)? {
                None => left.push(row),
                Some((name, detail)) => self.tally.add(&name, row, || detail),
            }
        }
        self.rows = left;
        Ok(())
    }

    /// Keeps the rows that are chosen.
    fn keep(&mut self, chosen: &[bool], reason: &str) -> Result<(), StageError> {
        self.tally.expect(reason);
        self.drop_by(|place, _| Ok((chosen.get(place) != Some(&true)).then(|| (reason.to_owned(), String::new()))))
    }

    fn drop_refused(&mut self, select: &Select) -> Result<(), StageError> {
        for condition in &select.conditions {
            self.tally.expect(&format!("where {}", condition.field));
        }
        let bounds = select.lengths();
        bounds.iter().flat_map(Bounds::set).for_each(|name| self.tally.expect(name));
        self.drop_by(|_, row| Ok(select.refusal(row)?.map(|reason| (reason, String::new()))))
    }

    fn drop_duplicates(&mut self, duplicates: &Duplicates) -> Result<(), StageError> {
        let Duplicates::Drop(rule) = duplicates else { return Ok(()) };
        let context = self.context;
        let found = rule.find(&self.rows, &|done| context.pause(done)).map_err(|error| match error {
            SearchError::Field(error) => failed(error),
            SearchError::Paused(error) => error,
        })?;
        if found.limited > 0 {
            let few = format!(
                "{} rows share words with very many others, and were compared with some of them alone: a few near duplicates may be left. \
                 A higher `threshold` or a higher `n` tells such rows apart",
                found.limited
            );
            (context.warn)(&few);
        }
        let reason = if rule.threshold.is_some() {
            "near_duplicates"
        } else {
            "duplicates"
        };
        self.tally.expect(reason);
        let before = self.rows.clone();
        let detail = |of: DuplicateOf| {
            let first = before.get(of.first).map_or("", |row| row.id.as_str());
            match of.similarity {
                None => format!("the text of row `{first}`"),
                Some(similarity) => format!("like row `{first}`, by {similarity:.3}"),
            }
        };
        self.drop_by(|place, _| {
            let of = found.duplicates.get(place).copied().flatten();
            Ok(of.map(|of| (reason.to_owned(), detail(of))))
        })
    }

    fn drop_contaminated(&mut self, n: usize) -> Result<(), StageError> {
        if self.context.list(DECONTAMINATE).is_empty() {
            return Ok(());
        }
        let tests = self.context.rows(DECONTAMINATE)?;
        let mut questions = TestQuestions::new(n);
        for (done, row) in tests.iter().enumerate() {
            self.context.pause(done)?;
            questions.add(row);
        }
        let index = questions.index();
        self.tally.expect(CONTAMINATED);
        self.drop_by(|_, row| {
            let detail = |overlap: contamination::Overlap| {
                let question = tests.get(overlap.question).map_or("", |row| row.id.as_str());
                format!("the words of test question `{question}`: {}", overlap.words)
            };
            Ok(index.overlap(row).map(|overlap| (CONTAMINATED.to_owned(), detail(overlap))))
        })
    }

    fn put_in_order(&mut self, order: &RowOrder) -> Result<(), StageError> {
        let measured: Vec<Measured<'_>> = self.rows.iter().map(|row| Measured::of(row)).collect();
        let mut stream = Stream::new(self.context.seed, "select order");
        let places = order.places(&measured, &mut stream).map_err(failed)?;
        self.rows = places.into_iter().map(|place| self.rows[place]).collect();
        Ok(())
    }

    /// Keeps the first rows of each value of `per`, and of these the first.
    fn take(&mut self, select: &Select) -> Result<(), StageError> {
        if let Some(most) = select.topk {
            let chosen = shares::choose_of_each(&self.places(), &self.groups(&select.per)?, most);
            self.keep(&chosen, "topk")?;
        }
        let (number, left) = (select.number(self.rows.len()), self.rows.len());
        if number > left {
            (self.context.warn)(&format!(
                "`select_num = {number}` is more than the {left} rows that are left: all of them are kept"
            ));
        }
        if select.select_num.is_none() && select.select_ratio.is_none() {
            return Ok(());
        }
        let groups = match &select.stratify {
            Some(field) => self.groups(field)?,
            None => vec![0; left],
        };
        self.keep(&shares::choose(&self.places(), &groups, number), NOT_SELECTED)
    }

    fn places(&self) -> Vec<usize> {
        (0..self.rows.len()).collect()
    }

    /// The rows by the value of a field.
    fn groups(&self, field: &str) -> Result<Vec<usize>, StageError> {
        let value = |row: &&Row| record::needed_field(row, field).map(|value| value.to_string());
        let values = self.rows.iter().map(value).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(shares::groups(values))
    }
}

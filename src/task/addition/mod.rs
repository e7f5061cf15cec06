//! Sums of two numbers, worked out one digit position a step (METHOD, 5.1).

mod draw;
mod params;
mod solution;

use figment::value::Value;
use schemars::{Schema, schema_for};

use self::params::{Merge, Params, Start};
use self::solution::Solution;
use super::{Problems, Splits, Task};
use crate::dataset::Row;
use crate::seed::Stream;

/// The task `addition`.
pub(super) struct Addition;

impl Task for Addition {
    fn name(&self) -> &'static str {
        "addition"
    }

    fn recognises(&self, row: &Row) -> bool {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let operands = row.prompt.strip_prefix("Question: ").and_then(|sum| sum.split_once(" + "));
        operands.is_some_and(|(a, b)| is_number(a) && is_number(b))
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        match &row.answer {
            serde_json::Value::Number(gold) => gold.to_string() == answer,
            gold => gold.as_str() == Some(answer),
        }
    }

    fn read(&self, params: &Value) -> Result<Box<dyn Problems>, figment::Error> {
        let params: Params = params.deserialize()?;
        params.check()?;
        Ok(Box::new(params))
    }

    fn schema(&self) -> Schema {
        schema_for!(Params)
    }
}

/// A sum with its place in the draw.
#[derive(Clone, Debug, PartialEq)]
struct Problem {
    /// `{digits a}_{digits b}/{index}`
    id: String,
    a: u64,
    b: u64,
}

impl Problem {
    fn row(&self, suffix: &str, solution: Solution) -> Row {
        Row {
            id: format!("{}{suffix}", self.id),
            prompt: format!("Question: {} + {}", self.a, self.b),
            completion: solution.text,
            step_num: solution.steps,
            answer: (self.a + self.b).into(),
        }
    }

    fn full(&self) -> Row {
        self.row("", solution::full(self.a, self.b))
    }

    /// The same sum with the operands in the other order, if that is another problem of the same digits.
    fn swapped(&self) -> Option<Self> {
        let is_other = self.a != self.b && self.a.ilog10() == self.b.ilog10();
        is_other.then(|| Self {
            id: format!("{}_swap", self.id),
            a: self.b,
            b: self.a,
        })
    }

    /// Does two neighbouring digit positions in one step; nothing for sums of one position.
    fn skipped(&self, merge: Merge, stream: &mut Stream) -> Option<Row> {
        let pairs = u64::from(solution::positions(self.a, self.b) - 1);
        let pair = match merge {
            _ if pairs == 0 => return None,
            Merge::Lowest => 0,
            Merge::Highest => pairs - 1,
            Merge::Any => stream.below(pairs),
        };
        Some(self.row("_skip", solution::merged(self.a, self.b, pair as u32)))
    }
}

impl Problems for Params {
    fn params(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    fn generate(&self, seed: u64) -> Splits {
        let mut drawn = draw::problems(&self.digits, self.in_distribution(), &mut Stream::new(seed, "addition problems"));
        let mut split = |count: u64| drawn.split_off(drawn.len() - count as usize);
        let (development, in_domain, mut train) = (split(self.development), split(self.in_domain), split(self.train));
        if self.swapped {
            train.extend(train.iter().filter_map(Problem::swapped).collect::<Vec<_>>());
        }
        let ood = |digits, count, label| rows(&draw::problems(digits, count, &mut Stream::new(seed, label)));
        Splits {
            skipped: self.skips(&train, &mut Stream::new(seed, "addition skips")),
            train: rows(&train),
            development: rows(&development),
            in_domain: rows(&in_domain),
            ood_easy: ood(&self.digits_easy, self.ood_easy, "addition ood_easy"),
            ood_hard: ood(&self.digits_hard, self.ood_hard, "addition ood_hard"),
        }
    }
}

impl Params {
    /// The hand-made skips of a warm start.
    fn skips(&self, train: &[Problem], stream: &mut Stream) -> Vec<Row> {
        let chosen = |problem: &Problem| match self.start {
            Start::Warm if stream.uniform() < self.skip_share => problem.skipped(self.merge, stream),
            Start::Warm | Start::Cold => None,
        };
        train.iter().filter_map(chosen).collect()
    }
}

fn rows(problems: &[Problem]) -> Vec<Row> {
    problems.iter().map(Problem::full).collect()
}

#[cfg(test)]
mod tests;

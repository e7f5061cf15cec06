//! Sums of two numbers, added one digit position per step (docs/method.md, 5.1).

mod draw;
mod params;
mod solution;
mod steps;

use figment::value::Value;
use schemars::{Schema, schema_for};

use self::params::{AdditionParams, Merge};
use self::solution::SumSolution;
use super::pool::NamedProblem;
use super::{Problems, Splits, Task};
use learn::dataset::Row;
use learn::seed::Stream;

/// The task `addition`.
pub(super) struct Addition;

impl Task for Addition {
    fn name(&self) -> &'static str {
        "addition"
    }

    fn recognises(&self, row: &Row) -> bool {
        operands(row).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        match &row.answer {
            serde_json::Value::Number(gold) => gold.to_string() == answer,
            gold => gold.as_str() == Some(answer),
        }
    }

    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        match operands(row) {
            Some((a, b)) => steps::follow(a, b, steps),
            None => vec![false; steps.len()],
        }
    }

    fn read(&self, params: &Value) -> Result<Box<dyn Problems>, figment::Error> {
        let params: AdditionParams = params.deserialize()?;
        params.check()?;
        Ok(Box::new(params))
    }

    fn schema(&self) -> Schema {
        schema_for!(AdditionParams)
    }
}

/// The operands of the row's question, as they are written.
fn operands(row: &Row) -> Option<(&str, &str)> {
    let operands = row.prompt.strip_prefix("Question: ").and_then(|sum| sum.split_once(" + "));
    operands.filter(|(a, b)| steps::is_digits(a) && steps::is_digits(b))
}

/// A sum with its place in the draw.
#[derive(Clone, Debug, PartialEq)]
struct SumProblem {
    /// `{digits a}_{digits b}/{index}`
    id: String,
    a: u64,
    b: u64,
}

impl SumProblem {
    fn row(&self, suffix: &str, solution: SumSolution) -> Row {
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

    /// The sum with the operands in the other order, if that is a different problem with the same digit counts.
    fn swapped(&self) -> Option<Self> {
        let is_other = self.a != self.b && self.a.ilog10() == self.b.ilog10();
        is_other.then(|| Self {
            id: format!("{}_swap", self.id),
            a: self.b,
            b: self.a,
        })
    }

    /// The row with two neighbouring digit positions added in one step; `None` for sums of one position.
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

impl From<NamedProblem<(u64, u64)>> for SumProblem {
    fn from(named: NamedProblem<(u64, u64)>) -> Self {
        let (a, b) = named.problem;
        Self { id: named.id, a, b }
    }
}

impl Problems for AdditionParams {
    fn params(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    fn generate(&self, seed: u64) -> Splits {
        let drawn = self.demand().draw("addition", seed);
        let mut train = problems(drawn.train);
        if self.swapped {
            train.extend(train.iter().filter_map(SumProblem::swapped).collect::<Vec<_>>());
        }
        let skip = |problem: &SumProblem, stream: &mut Stream| problem.skipped(self.merge, stream);
        let mut stream = Stream::new(seed, "addition skips");
        Splits {
            skipped: self.start.skips(self.skip_share, &train, &mut stream, skip),
            train: rows(&train),
            development: rows(&problems(drawn.development)),
            in_domain: rows(&problems(drawn.in_domain)),
            ood_easy: rows(&problems(drawn.ood_easy)),
            ood_hard: rows(&problems(drawn.ood_hard)),
        }
    }
}

fn problems(drawn: Vec<NamedProblem<(u64, u64)>>) -> Vec<SumProblem> {
    drawn.into_iter().map(SumProblem::from).collect()
}

fn rows(problems: &[SumProblem]) -> Vec<Row> {
    problems.iter().map(SumProblem::full).collect()
}

#[cfg(test)]
mod tests;

//! Sums of two numbers, added one digit position per step (docs/method.md, 5.1).

mod draw;
mod params;
mod solution;
mod steps;

use schemars::Schema;

use self::params::{AdditionParams, Merge};
use self::solution::SumSolution;
use super::drawn::DrawnParams;
use super::pool::NamedProblem;
use super::{Problems, Task};
use lab::config::{ConfigValue, ParamError};
use learn::dataset::{Doc, ExactValue, Row};
use learn::seed::Stream;

/// The task `addition`.
pub(super) struct Addition;

impl Task for Addition {
    fn name(&self) -> &'static str {
        "addition"
    }

    fn is_problem(&self, row: &Row) -> bool {
        operands(row).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.is_written_as(answer)
    }

    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        match operands(row) {
            Some((a, b)) => steps::follow(a, b, row.doc.get(LEADING_ZEROS) == Some(&ExactValue::Bool(true)), steps),
            None => vec![false; steps.len()],
        }
    }

    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        Ok(Box::new(DrawnParams::<AdditionParams>::read(params)?))
    }

    fn schema(&self) -> Schema {
        DrawnParams::<AdditionParams>::schema()
    }
}

/// The operands of the row's question, as they are written.
fn operands(row: &Row) -> Option<(&str, &str)> {
    let operands = row.prompt.strip_prefix("Question: ").and_then(|sum| sum.split_once(" + "));
    operands.filter(|(a, b)| steps::is_digits(a) && steps::is_digits(b))
}

/// The operands of a sum, and an id: `{digits of a}_{digits of b}/{number}`.
type NamedSum = NamedProblem<Sum>;

/// The field of a row's `doc` that says that first operands keep their leading zeros.
const LEADING_ZEROS: &str = "leading_zeros";

/// The largest number of a step that is drawn at random: numbers of two digits would be two tokens.
const LAST_NUMBER: u32 = 9;

/// A sum, and the number of its first step.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sum {
    a: u64,
    b: u64,
    first: u32,
}

impl Sum {
    fn new(a: u64, b: u64) -> Self {
        Self { a, b, first: 1 }
    }

    /// A first number with which no step, that of a last carry included, is beyond [`LAST_NUMBER`]; 1 if there are more steps.
    fn random_start(self, stream: &mut Stream) -> u32 {
        let most = LAST_NUMBER.saturating_sub(solution::positions(self.a, self.b)).max(1);
        1 + stream.below(u64::from(most)) as u32
    }
}

fn row(id: String, (a, b): (u64, u64), solution: SumSolution) -> Row {
    Row {
        id,
        prompt: format!("Question: {a} + {b}"),
        completion: solution.text,
        step_num: solution.steps,
        answer: (a + b).into(),
        doc: Doc::default(),
    }
}

/// The same sum with the operands in the other order, if that is another problem of the same digits.
fn swapped(sum: &NamedSum) -> Option<NamedSum> {
    let Sum { a, b, .. } = sum.problem;
    let is_other = a != b && a.ilog10() == b.ilog10();
    is_other.then(|| NamedProblem {
        id: format!("{}_swap", sum.id),
        problem: Sum::new(b, a),
    })
}

/// The lower one of the two neighbouring digit positions that a hand-made skip does in one step; `None` for sums of one position.
fn pair(Sum { a, b, .. }: Sum, merge: Merge, stream: &mut Stream) -> Option<u32> {
    let pairs = u64::from(solution::positions(a, b) - 1);
    let pair = match merge {
        _ if pairs == 0 => return None,
        Merge::Lowest => 0,
        Merge::Highest => pairs - 1,
        Merge::Any => stream.below(pairs),
    };
    Some(pair as u32)
}

#[cfg(test)]
mod tests;

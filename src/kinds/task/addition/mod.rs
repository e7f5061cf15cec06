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
use learn::dataset::{Doc, Row};
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
            Some((a, b)) => steps::follow(a, b, steps),
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
type NamedSum = NamedProblem<(u64, u64)>;

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
    let (a, b) = sum.problem;
    let is_other = a != b && a.ilog10() == b.ilog10();
    is_other.then(|| NamedProblem {
        id: format!("{}_swap", sum.id),
        problem: (b, a),
    })
}

/// Does two neighbouring digit positions in one step; `None` for sums of one position.
fn skipped(sum: &NamedSum, merge: Merge, stream: &mut Stream) -> Option<Row> {
    let (a, b) = sum.problem;
    let pairs = u64::from(solution::positions(a, b) - 1);
    let pair = match merge {
        _ if pairs == 0 => return None,
        Merge::Lowest => 0,
        Merge::Highest => pairs - 1,
        Merge::Any => stream.below(pairs),
    };
    let solution = solution::merged(a, b, pair as u32);
    Some(row(format!("{}_skip", sum.id), sum.problem, solution))
}

#[cfg(test)]
mod tests;

//! Equations over invented symbols, with ❤ to be isolated (docs/method.md, 5.3).

mod draw;
mod equation;
mod expression;
mod field;
mod judge;
mod params;
mod skeleton;
mod solver;
pub(super) mod symbols;

use schemars::Schema;

use self::equation::Equation;
use self::expression::ParsedEquation;
pub(crate) use self::judge::is_right as is_same_solution;
use self::params::{AlgebraParams, MergedPair};
use super::drawn::DrawnParams;
use super::pool::NamedProblem;
use super::{Problems, Task};
use lab::config::{ConfigValue, ParamError};
use learn::dataset::{Doc, Row};
use learn::seed::Stream;

/// The task `algebra`.
pub(super) struct Algebra;

impl Task for Algebra {
    fn name(&self) -> &'static str {
        "algebra"
    }

    fn is_problem(&self, row: &Row) -> bool {
        let equation = question(row).and_then(ParsedEquation::parse);
        equation.is_some_and(|equation| equation.unknowns() == 1)
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.as_str().is_some_and(|gold| judge::is_right(gold, answer))
    }

    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        judge::follow(question(row).unwrap_or_default(), steps)
    }

    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        Ok(Box::new(DrawnParams::<AlgebraParams>::read(params)?))
    }

    fn schema(&self) -> Schema {
        DrawnParams::<AlgebraParams>::schema()
    }
}

/// The equation of the row's question: its last line, without `Question: `.
fn question(row: &Row) -> Option<&str> {
    row.prompt.lines().last()?.strip_prefix("Question: ")
}

impl AlgebraParams {
    fn row(&self, id: String, equation: &Equation, steps: &[String], answer: &str) -> Row {
        let question = format!("Question: {equation}");
        Row {
            id,
            prompt: match self.instruction.as_str() {
                "" => question,
                instruction => format!("{instruction}\n{question}"),
            },
            completion: format!("{}\nThus, the answer is {answer}.", steps.join("\n")),
            step_num: steps.len() as u32,
            answer: answer.into(),
            doc: Doc::default(),
        }
    }

    fn full_row(&self, NamedProblem { id, problem }: &NamedProblem<Equation>) -> Row {
        let steps = solver::solve(problem.clone());
        self.row(id.clone(), problem, &steps, steps.last().map_or("", String::as_str))
    }

    /// The same with two neighbouring steps done in one: the first of them is left out. Nothing for a solution of one step.
    fn skipped_row(&self, NamedProblem { id, problem }: &NamedProblem<Equation>, stream: &mut Stream) -> Option<Row> {
        let mut steps = solver::solve(problem.clone());
        let pairs = steps.len().saturating_sub(1) as u64;
        let pair = match self.merge {
            _ if pairs == 0 => return None,
            MergedPair::First => 0,
            MergedPair::Last => pairs - 1,
            MergedPair::Any => stream.below(pairs),
        };
        steps.remove(pair as usize);
        Some(self.row(format!("{id}_skip"), problem, &steps, steps.last()?))
    }
}

#[cfg(test)]
mod tests;

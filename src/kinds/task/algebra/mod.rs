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

use figment::value::Value;
use schemars::{Schema, schema_for};

use self::equation::Equation;
use self::expression::ParsedEquation;
use self::params::{AlgebraParams, MergedPair};
use super::pool::NamedProblem;
use super::{Problems, Splits, Task};
use learn::dataset::Row;
use learn::seed::Stream;

/// The task `algebra`.
pub(super) struct Algebra;

impl Task for Algebra {
    fn name(&self) -> &'static str {
        "algebra"
    }

    fn recognises(&self, row: &Row) -> bool {
        let equation = question(row).and_then(ParsedEquation::parse);
        equation.is_some_and(|equation| equation.unknowns() == 1)
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.as_str().is_some_and(|gold| judge::is_right(gold, answer))
    }

    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        judge::follow(question(row).unwrap_or_default(), steps)
    }

    fn read(&self, params: &Value) -> Result<Box<dyn Problems>, figment::Error> {
        let params: AlgebraParams = params.deserialize()?;
        params.check()?;
        Ok(Box::new(params))
    }

    fn schema(&self) -> Schema {
        schema_for!(AlgebraParams)
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
        }
    }

    fn full(&self, NamedProblem { id, problem }: &NamedProblem<Equation>) -> Row {
        let steps = solver::solve(problem.clone());
        self.row(id.clone(), problem, &steps, steps.last().map_or("", String::as_str))
    }

    /// The row with two neighbouring steps done in one: the first of them is left out. `None` for a solution of one step.
    fn skipped(&self, NamedProblem { id, problem }: &NamedProblem<Equation>, stream: &mut Stream) -> Option<Row> {
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

    fn rows(&self, problems: &[NamedProblem<Equation>]) -> Vec<Row> {
        problems.iter().map(|named| self.full(named)).collect()
    }
}

impl Problems for AlgebraParams {
    fn params(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    fn generate(&self, seed: u64) -> Splits {
        let drawn = self.demand().draw("algebra", seed);
        let skip = |named: &NamedProblem<Equation>, stream: &mut Stream| self.skipped(named, stream);
        let mut stream = Stream::new(seed, "algebra skips");
        Splits {
            skipped: self.start.skips(self.skip_share, &drawn.train, &mut stream, skip),
            train: self.rows(&drawn.train),
            development: self.rows(&drawn.development),
            in_domain: self.rows(&drawn.in_domain),
            ood_easy: self.rows(&drawn.ood_easy),
            ood_hard: self.rows(&drawn.ood_hard),
        }
    }
}

#[cfg(test)]
mod tests;

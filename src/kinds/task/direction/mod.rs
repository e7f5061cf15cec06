//! Walks: which direction does somebody face after some turns (docs/method.md, 5.2)?

mod params;
mod steps;
pub(super) mod walk;

use schemars::Schema;

use self::params::DirectionParams;
use self::walk::{Facing, Walk};
use super::drawn::DrawnParams;
use super::{Problems, Task};
use lab::config::{ConfigValue, ParamError};
use learn::dataset::{Doc, Row};

/// The task `direction`.
pub(super) struct Direction;

/// The question's words before the facing.
const OPENING: &str = "Assuming an initial orientation facing ";
/// The question's words between the facing and the actions.
const MIDDLE: &str = ", determine the final direction after executing the following actions: ";

impl Task for Direction {
    fn name(&self) -> &'static str {
        "direction"
    }

    fn is_problem(&self, row: &Row) -> bool {
        Walk::parse(&row.prompt).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        row.answer.as_str() == Some(answer)
    }

    fn follows(&self, row: &Row, steps: &[&str]) -> Vec<bool> {
        match Walk::parse(&row.prompt) {
            Some(walk) => steps::follow(walk, steps),
            None => vec![false; steps.len()],
        }
    }

    fn read(&self, params: &ConfigValue) -> Result<Box<dyn Problems>, ParamError> {
        Ok(Box::new(DrawnParams::<DirectionParams>::read(params)?))
    }

    fn schema(&self) -> Schema {
        DrawnParams::<DirectionParams>::schema()
    }
}

impl Walk {
    fn parse(question: &str) -> Option<Self> {
        let (facing, actions) = question.strip_prefix(OPENING)?.split_once(MIDDLE)?;
        Some(Self {
            facing: Facing::parse(facing)?,
            actions: walk::parse_list(actions)?,
        })
    }

    /// The row, its solution without the line after the action at `left_out`.
    fn row(&self, id: String, left_out: Option<usize>) -> Row {
        let lines = (0..self.actions.len()).filter(|done| Some(*done) != left_out);
        let lines: Vec<String> = lines.map(|done| self.line(done)).collect();
        let answer = self.facing.after(&self.actions).to_string();
        Row {
            id,
            prompt: format!("{OPENING}{}{MIDDLE}{}", self.facing, walk::list(&self.actions)),
            completion: format!("{}\nThus, the answer is {answer}.", lines.join("\n")),
            step_num: lines.len() as u32,
            answer: answer.into(),
            doc: Doc::default(),
        }
    }

    /// The line after the action at `done`: the facing, and what remains.
    fn line(&self, done: usize) -> String {
        let (executed, rest) = self.actions.split_at(done + 1);
        let facing = self.facing.after(executed);
        match rest {
            [] => format!("{facing}."),
            rest => format!("{facing}. {}", walk::list(rest)),
        }
    }

    /// The row with the first two neighbouring actions that cancel done in one step; `None` if no two cancel.
    fn skipped(&self, id: &str) -> Option<Row> {
        let pairs = self.actions.windows(2);
        let pair = pairs.into_iter().position(|pair| matches!(pair, [a, b] if a.cancels(*b)))?;
        Some(self.row(format!("{id}/skip"), Some(pair)))
    }
}

#[cfg(test)]
mod tests;

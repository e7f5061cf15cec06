//! The requests about the rows of a data set.

use crate::questioner::{Asked, Questioner};
use crate::task_table::TaskTable;
use lab::stage::{StageError, failed};
use learn::dataset::{Answer, Row};

/// The input with solved examples.
pub(super) const FEWSHOT: &str = "fewshot";

/// What is asked about a row, without the model's prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QuestionText {
    pub text: String,
    /// What the answer begins with.
    pub prefix: String,
}

/// One request about a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'r> {
    pub row: &'r Row,
    /// What is asked, without the model's prompt.
    pub asked: &'r QuestionText,
    /// The number of steps that is asked for; `None` for prompts that name no number.
    pub requested: Option<u32>,
    /// Index of the sample, from 0.
    pub sample: u32,
}

impl Question<'_> {
    /// The number of steps in the prompt.
    pub(super) fn steps(&self) -> u32 {
        self.requested.unwrap_or(self.row.step_num)
    }

    /// Names the random stream, and the request in messages.
    pub(super) fn label(&self) -> String {
        format!("{} {} {}", self.row.id, self.steps(), self.sample)
    }

    /// An answer, still without a response.
    pub(super) fn answer(&self) -> Answer {
        Answer {
            problem: self.row.clone(),
            requested: self.requested,
            sample: self.sample,
            response: String::new(),
            tokens: 0,
            failed: None,
            cut: false,
            choices: None,
        }
    }
}

/// What a task asks about each of `rows`, of a model that answers `in_chat`. `pause` is called before each row, with the number of those
/// before it.
///
/// # Errors
/// When the task cannot ask, or `pause` fails.
pub(super) fn asked_of_rows(
    task: &TaskTable,
    in_chat: bool,
    rows: &[Row],
    examples: &[Row],
    pause: impl Fn(usize) -> Result<(), StageError>,
) -> Result<Vec<Asked>, StageError> {
    let questioner = Questioner::new(task).map_err(failed)?.answered_in_chat(in_chat);
    let ask = |(done, row)| {
        pause(done)?;
        questioner.ask(row, examples).map_err(failed)
    };
    rows.iter().enumerate().map(ask).collect()
}

/// The requests about `rows`, in their order: for each of `ask`, which is added to the number of steps of the full solution, `samples`
/// samples. `texts` are what is asked about each row.
pub(super) fn questions<'r>(rows: &'r [Row], texts: &'r [QuestionText], ask: &[i32], samples: u32) -> Vec<Question<'r>> {
    let mut all = Vec::with_capacity(rows.len() * ask.len().max(1) * samples as usize);
    for (row, asked) in rows.iter().zip(texts) {
        let mut steps: Vec<Option<u32>> = ask.iter().map(|shift| Some(requested(row.step_num, *shift))).collect();
        if steps.is_empty() {
            steps.push(None);
        }
        for requested in steps {
            let question = |sample| Question {
                row,
                asked,
                requested,
                sample,
            };
            all.extend((0..samples).map(question));
        }
    }
    all
}

/// The requested number of steps: `full + shift`, or `full` if that is below 1 (docs/method.md, 3 (a)).
fn requested(full: u32, shift: i32) -> u32 {
    full.checked_add_signed(shift).filter(|steps| *steps >= 1).unwrap_or(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_below_one_step_ask_for_the_full_number() {
        for (full, shift, steps) in [(3, -1, 2), (3, -2, 1), (2, -2, 2), (1, -1, 1), (3, 0, 3), (3, 2, 5)] {
            assert_eq!(requested(full, shift), steps, "{full} {shift}");
        }
    }
}

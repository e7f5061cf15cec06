//! Grade-school mathematics (docs/method.md, 5.4): GSM8K's published problems, in words; the answer is a number.

mod amount;
mod digits;
mod equation;
mod spoken;
#[cfg(test)]
mod tests;
mod words;

pub(crate) use self::amount::Amount;
use super::{PublishedFields, PublishedRowError, PublishedTask, Task};
use learn::dataset::{Doc, ExactValue, Row};

/// The task `gsm8k`.
pub(super) struct Gsm8k;

/// The mark before the answer in the published form.
const ANSWER: &str = "####";
/// The start of the answer's line in a row; in some published rows, also of a step.
const CLOSING: &str = "Thus, the";

impl Task for Gsm8k {
    fn name(&self) -> &'static str {
        "gsm8k"
    }

    fn is_problem(&self, row: &Row) -> bool {
        gold(row).is_some()
    }

    fn is_right(&self, row: &Row, answer: &str) -> bool {
        let gold = gold(row);
        gold.is_some() && Amount::parse(answer) == gold
    }

    /// All equations of a step must hold. A step without a readable equation cannot be checked, and passes.
    fn follows(&self, _: &Row, steps: &[&str]) -> Vec<bool> {
        steps
            .iter()
            .map(|step| !step.trim().is_empty() && equation::all_hold(step))
            .collect()
    }

    fn published(&self) -> Option<&'static dyn PublishedTask> {
        Some(&Self)
    }
}

impl PublishedTask for Gsm8k {
    fn fields(&self) -> PublishedFields {
        PublishedFields {
            prompt: Some("question"),
            completion: Some("answer"),
        }
    }

    fn row(&self, id: String, question: String, solution: &str) -> Result<Row, PublishedRowError> {
        let (steps, answer) = solution.rsplit_once(ANSWER).ok_or(PublishedRowError::NoAnswer(ANSWER))?;
        let answer = answer.trim();
        if Amount::parse(answer).is_none() {
            return Err(PublishedRowError::AnswerNotNumber(answer.to_owned()));
        }
        let steps: Vec<String> = without_notes(steps).lines().map(step).filter(|step| !step.is_empty()).collect();
        if steps.is_empty() {
            return Err(PublishedRowError::NoSteps);
        }
        Ok(Row {
            id,
            prompt: question.trim().to_owned(),
            completion: format!("{}\n{CLOSING} answer is {answer}.", steps.join("\n")),
            step_num: steps.len() as u32,
            answer: answer.into(),
            doc: Doc::default(),
        })
    }
}

/// The gold answer.
fn gold(row: &Row) -> Option<Amount> {
    match &row.answer {
        ExactValue::Text(text) => Amount::parse(text),
        ExactValue::Number(number) => Amount::of_json(number.as_str()),
        _ => None,
    }
}

/// A line as a step. One that begins like the answer's line would end the steps, so it is reworded.
fn step(line: &str) -> String {
    line.trim().replace(CLOSING, "So, the")
}

/// The text without calculator notes: `16 - 3 = <<16-3=13>>13`.
fn without_notes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, note)) = rest.split_once("<<") {
        plain.push_str(before);
        match note.split_once(">>") {
            Some((_, after)) => rest = after,
            // Not a note: it has no end.
            None => {
                plain.push_str("<<");
                rest = note;
            }
        }
    }
    plain + rest
}

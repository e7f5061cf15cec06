//! Data sets: JSON Lines with the published field names.

mod lines;

pub use lines::{DatasetError, Lines, Writer, file_error, open, read, write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One problem or one training example, with the published field names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `{digits a}_{digits b}/{index}` and the like; unique in its data set.
    pub id: String,
    /// The question as the model reads it, before the prompt template adds to it.
    pub prompt: String,
    /// The solution: the steps, one a line, then `Thus, the answer is …`.
    pub completion: String,
    /// The number of steps of `completion`.
    pub step_num: u32,
    /// The gold answer: a number or a text.
    pub answer: Value,
}

/// A model's answer to one request: the problem, what was asked for, and what came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The problem; `step_num` and `completion` are the full solution's.
    #[serde(flatten)]
    pub problem: Row,
    /// The number of steps named in the prompt, or nothing for a plain prompt.
    pub requested: Option<u32>,
    /// Which of several samples for this request, from 0.
    pub sample: u32,
    /// What the model wrote.
    pub response: String,
    /// How many tokens it took, the end-of-sequence token included.
    pub tokens: u32,
}

/// How a question becomes what the model reads: a text with `{question}` and, where the number of steps is named, `{n}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// `{question}\nAnswer:\n`
    pub template: String,
}

impl Prompt {
    /// `plain` of docs/method.md, 4.
    pub const PLAIN: &'static str = "{question}\nAnswer:\n";
    /// `numbered` of docs/method.md, 4.
    pub const NUMBERED: &'static str = "{question}\nLet's solve it in {n} steps.\nAnswer:\n";

    /// Whether the prompt names the number of steps.
    pub fn is_numbered(&self) -> bool {
        self.template.contains("{n}")
    }

    /// The text for `question`, asking for `steps` steps.
    pub fn render(&self, question: &str, steps: u32) -> String {
        self.template.replace("{n}", &steps.to_string()).replace("{question}", question)
    }
}

//! Data sets: JSON Lines with the published field names.

mod lines;

pub use lines::{DatasetError, JsonLinesReader, JsonLinesWriter, file_error, open, read, write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One problem or one training example, with the published field names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `{digits a}_{digits b}/{index}` and the like; unique in its data set.
    pub id: String,
    /// The question, without the prompt template.
    pub prompt: String,
    /// The solution: one step per line, then `Thus, the answer is …`.
    pub completion: String,
    /// The number of steps of `completion`.
    pub step_num: u32,
    /// The gold answer: a number or a text.
    pub answer: Value,
}

/// A model's answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The problem; `step_num` and `completion` are those of the full solution.
    #[serde(flatten)]
    pub problem: Row,
    /// The number of steps named in the prompt; `None` for a plain prompt.
    pub requested: Option<u32>,
    /// Index of the sample among those of this request, from 0.
    pub sample: u32,
    /// The model's response.
    pub response: String,
    /// Number of tokens of the response, including the end-of-sequence token.
    pub tokens: u32,
    /// Why the model has not answered: its prompt is too long, or the server refused it. Then the response is empty. Not written where
    /// there is a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A prompt template: a text with `{question}` and, if it names the number of steps, `{n}`.
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

    /// The prompt for `question` with `steps` as the number of steps.
    pub fn render(&self, question: &str, steps: u32) -> String {
        self.template.replace("{n}", &steps.to_string()).replace("{question}", question)
    }
}

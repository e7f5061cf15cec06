//! Data sets: JSON Lines with the published field names.

mod doc;
mod exact;
mod lines;
mod prompt;

pub use doc::Doc;
pub use exact::{ExactNumber, ExactValue, ExactValueError, RawObject};
pub use lines::{BYTE_ORDER_MARK, DatasetError, JsonLinesReader, JsonLinesWriter, file_error, open, problem_of_line, read, write};
pub use prompt::{ChatPrompt, FilledPrompt, Prompt};

use serde::{Deserialize, Serialize};

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
    /// The gold answer: a text, or a number with the digits with which it is written.
    pub answer: ExactValue,
    /// The record that it was made of, as far as the fields above are not those of the record.
    #[serde(default, skip_serializing_if = "Doc::is_empty")]
    pub doc: Doc,
}

/// A model's answer to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "AnswerFields")]
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
    /// Whether the response was cut, at its limit or the end of the context. Not written where it was not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The scores of the choices in their order, or of the one text, where these were asked for; then the response is the likeliest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<ChoiceScore>>,
}

/// How likely a model finds a choice, or another text, that it was shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChoiceScore {
    /// The log-likelihood after the question: the sum over its tokens, of natural logarithms.
    pub sum: f64,
    /// Number of tokens.
    pub tokens: u32,
    /// Whether the model would have written the text itself: each token is the likeliest.
    pub greedy: bool,
    /// The log-likelihood without the question, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconditional: Option<f64>,
}

/// The fields of an answer as they are read: all on one level, because serde's `flatten` would round the numbers on their way.
#[derive(Deserialize)]
struct AnswerFields {
    id: String,
    prompt: String,
    completion: String,
    step_num: u32,
    answer: ExactValue,
    #[serde(default)]
    doc: Doc,
    requested: Option<u32>,
    sample: u32,
    response: String,
    tokens: u32,
    #[serde(default)]
    failed: Option<String>,
    #[serde(default)]
    cut: bool,
    #[serde(default)]
    choices: Option<Vec<ChoiceScore>>,
}

impl From<AnswerFields> for Answer {
    fn from(fields: AnswerFields) -> Self {
        Self {
            problem: Row {
                id: fields.id,
                prompt: fields.prompt,
                completion: fields.completion,
                step_num: fields.step_num,
                answer: fields.answer,
                doc: fields.doc,
            },
            requested: fields.requested,
            sample: fields.sample,
            response: fields.response,
            tokens: fields.tokens,
            failed: fields.failed,
            cut: fields.cut,
            choices: fields.choices,
        }
    }
}

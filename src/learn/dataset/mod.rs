//! Data sets: JSON Lines with the published field names.

mod doc;
mod exact;
mod lines;

pub use doc::Doc;
pub use exact::{ExactNumber, ExactValue, ExactValueError, RawObject};
pub use lines::{BYTE_ORDER_MARK, DatasetError, JsonLinesReader, JsonLinesWriter, file_error, open, problem_of_line, read, write};

use std::ops::Range;

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
        self.fill(question, steps).text
    }

    /// [`Prompt::render`], with the places of the question.
    pub fn fill(&self, question: &str, steps: u32) -> FilledPrompt {
        let (template, mut prompt) = (self.template.replace("{n}", &steps.to_string()), FilledPrompt::default());
        for (place, part) in template.split("{question}").enumerate() {
            if place > 0 {
                let start = prompt.text.len();
                prompt.text += question;
                prompt.filled.push(start..prompt.text.len());
            }
            prompt.text += part;
        }
        prompt
    }
}

/// A prompt for a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilledPrompt {
    pub text: String,
    /// Where the text is not the template's.
    pub filled: Vec<Range<usize>>,
}

impl FilledPrompt {
    /// A text that is an author's as a whole.
    pub fn written(text: String) -> Self {
        let filled = Vec::new();
        Self { text, filled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_prompt_says_what_is_not_the_templates() {
        let prompt = |template: &str| Prompt {
            template: template.to_owned(),
        };
        let filled = prompt("<{question}> in {n}: {question}").fill("{n}{question}", 3);
        assert_eq!(filled.text, "<{n}{question}> in 3: {n}{question}");
        assert_eq!(filled.filled, [1..14, 22..35]);
        assert_eq!(prompt("{question}").fill("", 1).filled.as_slice(), std::slice::from_ref(&(0..0)));
        assert_eq!(prompt("x").fill("a", 1), FilledPrompt::written("x".to_owned()));
    }
}

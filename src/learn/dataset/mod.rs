//! Data sets: JSON Lines with the published field names.

mod exact;
mod lines;

pub use exact::{ExactNumber, ExactValue, ExactValueError, RawObject};
pub use lines::{BYTE_ORDER_MARK, DatasetError, JsonLinesReader, JsonLinesWriter, file_error, open, problem_of_line, read, write};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::chat::{Date, Message};

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
}

/// The fields of an answer as they are read: all on one level, because serde's `flatten` would round the numbers on their way.
#[derive(Deserialize)]
struct AnswerFields {
    id: String,
    prompt: String,
    completion: String,
    step_num: u32,
    answer: ExactValue,
    requested: Option<u32>,
    sample: u32,
    response: String,
    tokens: u32,
    #[serde(default)]
    failed: Option<String>,
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
            },
            requested: fields.requested,
            sample: fields.sample,
            response: fields.response,
            tokens: fields.tokens,
            failed: fields.failed,
        }
    }
}

/// A prompt template: a text with `{question}` and, if it names the number of steps, `{n}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// `{question}\nAnswer:\n`; in a chat, what the user says.
    pub template: String,
    /// In a chat: what the model's chat template is given beside it. Not written where there is no chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatPrompt>,
}

/// What a chat template is given beside what the user says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatPrompt {
    /// What the model is told before all else. Some templates have a text of their own where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the template writes as today's date, if it writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
}

impl Prompt {
    /// `plain` of docs/method.md, 4.
    pub const PLAIN: &'static str = "{question}\nAnswer:\n";
    /// `numbered` of docs/method.md, 4.
    pub const NUMBERED: &'static str = "{question}\nLet's solve it in {n} steps.\nAnswer:\n";

    /// The name of [`Prompt::chat`].
    pub const CHAT: &'static str = "chat";
    /// What the user says in a chat: the question alone.
    pub const QUESTION: &'static str = "{question}";

    /// A text as a prompt.
    pub fn text(template: impl Into<String>) -> Self {
        Self {
            template: template.into(),
            chat: None,
        }
    }

    /// The question as what the user says in a chat.
    pub fn chat() -> Self {
        Self {
            template: Self::QUESTION.to_owned(),
            chat: Some(ChatPrompt::default()),
        }
    }

    /// The prompt that `given` names or is: `plain`, `numbered`, `chat`, or a text with `{question}`; `None` if it is none of them.
    pub fn named(given: &str) -> Option<Self> {
        match given {
            "plain" => Some(Self::text(Self::PLAIN)),
            "numbered" => Some(Self::text(Self::NUMBERED)),
            Self::CHAT => Some(Self::chat()),
            text => text.contains(Self::QUESTION).then(|| Self::text(text)),
        }
    }

    /// What is unusual in the prompt and hardly meant: a blank at its end, after which a model that has learned words with the blank before
    /// them writes something else. `None` if nothing is.
    pub fn warning(&self) -> Option<String> {
        let ends_in_blank = self.chat.is_none() && self.template.ends_with([' ', '\t']);
        ends_in_blank.then(|| {
            format!(
                "the prompt {:?} ends in a blank; most models write the blank themselves, and answer worse after one: take it out",
                self.template
            )
        })
    }

    /// In a chat, the conversation in which the user asks `question`, with `steps` as the number of steps, and the model's `answer`, if there
    /// is one.
    pub fn messages(&self, question: &str, steps: u32, answer: Option<&str>) -> Vec<Message> {
        let system = self.chat.as_ref().and_then(|chat| chat.system.as_deref());
        let system = system.map(Message::system);
        let user = Message::user(self.render(question, steps));
        system.into_iter().chain([user]).chain(answer.map(Message::assistant)).collect()
    }

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
    /// Where the text is what the model has said before, in a conversation.
    pub answers: Vec<Range<usize>>,
    /// Whether the text has all control tokens that it wants, as that of a chat template: those with which a prompt begins are not put
    /// before it.
    pub is_whole: bool,
}

impl FilledPrompt {
    /// A text that is an author's as a whole.
    pub fn written(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_prompt_says_what_is_not_the_templates() {
        let prompt = |template: &str| Prompt::text(template);
        let filled = prompt("<{question}> in {n}: {question}").fill("{n}{question}", 3);
        assert_eq!(filled.text, "<{n}{question}> in 3: {n}{question}");
        assert_eq!(filled.filled, [1..14, 22..35]);
        assert_eq!(prompt("{question}").fill("", 1).filled.as_slice(), std::slice::from_ref(&(0..0)));
        assert_eq!(prompt("x").fill("a", 1), FilledPrompt::written("x".to_owned()));
    }

    #[test]
    fn a_prompt_is_written_as_before_where_it_is_no_chat() {
        let written = |prompt: &Prompt| serde_json::to_string(prompt).unwrap();
        assert_eq!(written(&Prompt::text("{question}:")), r#"{"template":"{question}:"}"#);
        assert_eq!(written(&Prompt::chat()), r#"{"template":"{question}","chat":{}}"#);
        let chat = r#"{"template":"{question}","chat":{"system":"Be brief.","date":"2024-07-26"}}"#;
        assert_eq!(written(&serde_json::from_str::<Prompt>(chat).unwrap()), chat);
        assert!(serde_json::from_str::<Prompt>(r#"{"template":"","chat":{"date":"today"}}"#).is_err());
    }

    #[test]
    fn prompts_are_named() {
        assert_eq!(Prompt::named("plain"), Some(Prompt::text(Prompt::PLAIN)));
        assert_eq!(Prompt::named("chat"), Some(Prompt::chat()));
        assert_eq!(Prompt::named("Q: {question}"), Some(Prompt::text("Q: {question}")));
        assert_eq!(Prompt::named("chatty"), None);
    }

    #[test]
    fn a_blank_at_the_end_is_warned_of() {
        for (template, warned) in [
            ("{question}\nAnswer: ", true),
            ("{question}\nAnswer:\n", false),
            ("{question}\t", true),
        ] {
            assert_eq!(Prompt::text(template).warning().is_some(), warned, "{template:?}");
        }
    }

    #[test]
    fn a_chat_has_what_the_system_the_user_and_the_model_say() {
        let mut prompt = Prompt::chat();
        prompt.template = "{question} In {n} steps.".to_owned();
        assert_eq!(prompt.messages("1 + 1?", 2, None), [Message::user("1 + 1? In 2 steps.")]);
        prompt.chat.as_mut().unwrap().system = Some("Be brief.".to_owned());
        let messages = [
            Message::system("Be brief."),
            Message::user("1 + 1? In 2 steps."),
            Message::assistant("2"),
        ];
        assert_eq!(prompt.messages("1 + 1?", 2, Some("2")), messages);
    }
}

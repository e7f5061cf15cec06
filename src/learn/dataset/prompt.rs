//! Prompts: the texts around questions.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::Row;
use crate::chat::{ChatError, Date, Message};

/// A prompt template: a text with `{question}` and, if it names the number of steps, `{n}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prompt {
    /// `{question}\nAnswer:\n`; in a chat, what the user says.
    pub template: String,
    /// In a chat: what the model's chat template is given beside it. Not written where there is no chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatPrompt>,
}

/// What a chat template is given beside what the user says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatPrompt {
    /// What the model is told before all else. Some templates have a text of their own where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the template writes as today's date, if it writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub date: Option<Date>,
    /// The field of a row's record that has the whole conversation, in place of `template` and `system`. A model learns all of its answers
    /// in it, and is asked for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
}

impl Prompt {
    /// `plain` of docs/method.md, 4.
    pub const PLAIN: &'static str = "{question}\nAnswer:\n";
    /// `numbered` of docs/method.md, 4.
    pub const NUMBERED: &'static str = "{question}\nLet's solve it in {n} steps.\nAnswer:\n";

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
            "chat" => Some(Self::chat()),
            text => text.contains(Self::QUESTION).then(|| Self::text(text)),
        }
    }

    /// The conversation in which the model is to answer `question` about `row`, with `steps` as the number of steps: that of the row's
    /// record, where the prompt names its field.
    ///
    /// # Errors
    /// When the record has no conversation in that field, or it has no answer of the model.
    pub fn conversation(&self, row: &Row, question: &str, steps: u32) -> Result<Vec<Message>, ChatError> {
        let Some(mut messages) = self.recorded(row)? else {
            return Ok(self.messages(question, steps, None));
        };
        // What the model is to say, and what comes after.
        let last = messages.iter().rposition(Message::is_assistants).ok_or(ChatError::NoAnswer)?;
        messages.truncate(last);
        Ok(messages)
    }

    /// The conversation from which a model learns what `row` has.
    ///
    /// # Errors
    /// As [`Self::conversation`].
    pub fn learned(&self, row: &Row) -> Result<Vec<Message>, ChatError> {
        let Some(messages) = self.recorded(row)? else {
            return Ok(self.messages(&row.prompt, row.step_num, Some(&row.completion)));
        };
        match messages.iter().any(Message::is_assistants) {
            true => Ok(messages),
            false => Err(ChatError::NoAnswer),
        }
    }

    /// The conversation in the row's record; `None` where the prompt names no field.
    fn recorded(&self, row: &Row) -> Result<Option<Vec<Message>>, ChatError> {
        let Some(name) = self.chat.as_ref().and_then(|chat| chat.messages.as_deref()) else {
            return Ok(None);
        };
        let field = row.doc.get(name).ok_or_else(|| ChatError::NoField(name.to_owned()))?;
        let field = serde_json::to_value(field).unwrap_or_default();
        Message::all_of(&field).map(Some).map_err(|error| ChatError::Field {
            name: name.to_owned(),
            error: Box::new(error),
        })
    }

    /// In a chat, the conversation in which the user asks `question`, with `steps` as the number of steps, and the model's `answer`, if there
    /// is one.
    fn messages(&self, question: &str, steps: u32, answer: Option<&str>) -> Vec<Message> {
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

/// Reads `plain`, `numbered`, `chat`, a text with `{question}`, or a table, in which records and the files of models have a prompt.
impl<'de> Deserialize<'de> for Prompt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PromptVisitor)
    }
}

/// A prompt as a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PromptTable {
    /// A text with `{question}`; in a chat, what the user says.
    template: Option<String>,
    /// In a chat, what the model's chat template is given beside it.
    chat: Option<ChatPrompt>,
}

struct PromptVisitor;

impl<'de> Visitor<'de> for PromptVisitor {
    type Value = Prompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Prompt, E> {
        Prompt::named(text).ok_or_else(|| E::unknown_variant(text, &["numbered", "plain", "chat"]))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Prompt, A::Error> {
        let PromptTable { template, chat } = PromptTable::deserialize(MapAccessDeserializer::new(fields))?;
        let messages = chat.as_ref().and_then(|chat| chat.messages.as_ref());
        if messages.is_some() && (template.is_some() || chat.as_ref().is_some_and(|chat| chat.system.is_some())) {
            return Err(A::Error::custom(
                "with `chat.messages` the record has all that is said: leave `template` and `system` out",
            ));
        }
        let template = template.or_else(|| chat.is_some().then(|| Prompt::QUESTION.to_owned()));
        let template = template.ok_or_else(|| A::Error::missing_field("template"))?;
        if chat.is_some() && !template.contains(Prompt::QUESTION) {
            return Err(A::Error::custom(
                "the `template` of a chat is what the user says, a text with `{question}`",
            ));
        }
        let named: Prompt = self.visit_str(&template)?;
        Ok(Prompt {
            chat: chat.or(named.chat),
            ..named
        })
    }
}

impl JsonSchema for Prompt {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Prompt".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<PromptTable>();
        json_schema!({ "anyOf": [{ "type": "string" }, table] })
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

    /// The prompt with the beginning of its answer, which is text throughout.
    #[must_use]
    pub fn answered_from(mut self, beginning: &str) -> Self {
        if !beginning.is_empty() {
            let (start, end) = (self.text.len(), self.text.len() + beginning.len());
            match self.filled.last_mut().filter(|last| last.end == start) {
                Some(last) => last.end = end,
                None => self.filled.push(start..end),
            }
            self.text += beginning;
        }
        self
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
        // The name of a chat is one in a table too.
        assert_eq!(serde_json::from_str::<Prompt>(r#"{"template":"chat"}"#).unwrap(), Prompt::chat());
    }

    #[test]
    fn prompts_are_named() {
        assert_eq!(Prompt::named("plain"), Some(Prompt::text(Prompt::PLAIN)));
        assert_eq!(Prompt::named("chat"), Some(Prompt::chat()));
        assert_eq!(Prompt::named("Q: {question}"), Some(Prompt::text("Q: {question}")));
        assert_eq!(Prompt::named("chatty"), None);
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

//! A model's prompt: a text, or its chat template.

use super::{Model, ModelChat};
use crate::chat::{ChatError, ChatTemplate, Message, RenderedChat};
use crate::dataset::{FilledPrompt, Prompt, Row};

/// Writes prompts for a model, and conversations from which it learns.
#[derive(Clone, Debug)]
pub struct Prompter {
    prompt: Prompt,
    /// In a chat.
    template: Option<ChatTemplate>,
}

impl Prompter {
    /// For a prompt, and the chat template of the model that is asked, which is needed in a chat alone.
    ///
    /// # Errors
    /// When the prompt is a chat, and there is no chat template or it is not valid.
    pub fn new(prompt: &Prompt, chat: Option<&ModelChat>) -> Result<Self, ChatError> {
        let template = match (&prompt.chat, chat) {
            (None, _) => None,
            (Some(_), None) => return Err(ChatError::NoTemplate),
            (Some(_), Some(chat)) => Some(chat.parse()?),
        };
        Ok(Self {
            prompt: prompt.clone(),
            template,
        })
    }

    /// Whether it writes with a chat template.
    pub fn is_chat(&self) -> bool {
        self.template.is_some()
    }

    /// The prompt for `question` with `steps` as the number of steps.
    ///
    /// # Errors
    /// When the chat template fails.
    pub fn ask(&self, question: &str, steps: u32) -> Result<FilledPrompt, ChatError> {
        match &self.template {
            None => Ok(self.prompt.fill(question, steps)),
            Some(template) => self.go_on(template, &self.prompt.messages(question, steps, None)),
        }
    }

    /// The prompt with which the model is to answer the last of these messages; they are all that it is given.
    ///
    /// # Errors
    /// When the prompt is no chat, or the chat template fails.
    pub fn ask_in(&self, messages: &[Message]) -> Result<FilledPrompt, ChatError> {
        self.go_on(self.template.as_ref().ok_or(ChatError::NoTemplate)?, messages)
    }

    fn go_on(&self, template: &ChatTemplate, messages: &[Message]) -> Result<FilledPrompt, ChatError> {
        let date = self.prompt.chat.as_ref().and_then(|chat| chat.date);
        let RenderedChat { text, filled, written, .. } = template.prompt(messages, date)?;
        Ok(FilledPrompt {
            text,
            filled,
            answers: written,
            is_whole: true,
        })
    }

    /// In a chat, the conversation from which a model learns what the row has; `None` where the prompt is a text.
    ///
    /// # Errors
    /// When the chat template fails, or it cannot be told what the model says in the conversation.
    pub fn conversation(&self, row: &Row) -> Result<Option<RenderedChat>, ChatError> {
        let messages = self.prompt.messages(&row.prompt, row.step_num, Some(&row.completion));
        self.template.as_ref().map(|template| self.learn(template, &messages)).transpose()
    }

    fn learn(&self, template: &ChatTemplate, messages: &[Message]) -> Result<RenderedChat, ChatError> {
        let date = self.prompt.chat.as_ref().and_then(|chat| chat.date);
        template.render_with_spans(messages, date)
    }
}

impl<W> Model<W> {
    /// Writes the model's prompts.
    ///
    /// # Errors
    /// When its prompt is a chat, and its chat template is missing or not valid.
    pub fn prompter(&self) -> Result<Prompter, ChatError> {
        Prompter::new(&self.prompt, self.chat.as_ref())
    }
}

/// The prompt for a row as a model reads it. `chat` is the chat template of the model that is asked, if it has one.
///
/// # Errors
/// When the prompt is a chat, and there is no chat template or it fails.
pub fn first_prompt(prompt: &Prompt, chat: Option<&ModelChat>, row: &Row) -> Result<String, ChatError> {
    Ok(Prompter::new(prompt, chat)?.ask(&row.prompt, row.step_num)?.text)
}

//! A model's prompt: a text, or its chat template.

use super::ModelChat;
use crate::chat::{ChatError, ChatTemplate, Date, RenderedChat};
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

    /// The prompt for `question` about `row`, with `steps` as the number of steps.
    ///
    /// # Errors
    /// When the chat template fails, or the row's record has no conversation where the prompt names one.
    pub fn ask(&self, row: &Row, question: &str, steps: u32) -> Result<FilledPrompt, ChatError> {
        let Some(template) = &self.template else {
            return Ok(self.prompt.fill(question, steps));
        };
        let messages = self.prompt.conversation(row, question, steps)?;
        let RenderedChat { text, filled, written, .. } = template.prompt(&messages, self.date())?;
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
        let learn = |template: &ChatTemplate| template.render_with_spans(&self.prompt.learned(row)?, self.date());
        self.template.as_ref().map(learn).transpose()
    }

    /// What a chat template writes as today's date.
    fn date(&self) -> Option<Date> {
        self.prompt.chat.as_ref().and_then(|chat| chat.date)
    }
}

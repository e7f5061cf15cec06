//! The turns of a conversation.

use serde::{Deserialize, Serialize};

/// The role of the model's own turns.
pub const ASSISTANT: &str = "assistant";

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another that the template knows.
    pub role: String,
    pub content: String,
}

impl Message {
    /// What a model is told before all else.
    pub fn system(content: impl Into<String>) -> Self {
        Self::of("system", content)
    }

    /// What the model is asked.
    pub fn user(content: impl Into<String>) -> Self {
        Self::of("user", content)
    }

    /// What the model says.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::of(ASSISTANT, content)
    }

    fn of(role: &str, content: impl Into<String>) -> Self {
        Self {
            role: role.to_owned(),
            content: content.into(),
        }
    }

    /// Whether the model says it.
    pub fn is_assistants(&self) -> bool {
        self.role == ASSISTANT
    }
}

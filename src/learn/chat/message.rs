//! The turns of a conversation.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ChatError;

/// The role of the model's own turns.
const ASSISTANT: &str = "assistant";

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

    /// The conversation in a field of a record: a list of `{"role": "user", "content": "…"}`, or of `{"from": "human", "value": "…"}`, the
    /// contents as texts or lists of `{"type": "text", "text": "…"}`.
    ///
    /// # Errors
    /// When it is something else; the message says what.
    pub fn all_of(conversation: &Value) -> Result<Vec<Self>, ChatError> {
        let messages = conversation.as_array().ok_or(ChatError::NoConversation)?;
        let read = |(place, message): (usize, &Value)| Self::read(message).ok_or(ChatError::NoMessage(place));
        messages.iter().enumerate().map(read).collect()
    }

    fn read(message: &Value) -> Option<Self> {
        let field = |name: &str, other: &str| message.get(name).or_else(|| message.get(other));
        let role = match field("role", "from")?.as_str()? {
            "human" => "user",
            "gpt" | "model" => ASSISTANT,
            role => role,
        };
        Some(Self::of(role, text(field("content", "value")?)?))
    }

    /// Whether the model says it.
    pub fn is_assistants(&self) -> bool {
        self.role == ASSISTANT
    }
}

/// The text of a message.
fn text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().map(|part| part.get("text")?.as_str()).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conversations_of_records_are_read() {
        let expected = [Message::system("Be brief."), Message::user("1 + 1?"), Message::assistant("2")];
        let usual = json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "1 + " }, { "type": "text", "text": "1?" }] },
            { "role": "assistant", "content": "2", "name": "x" },
        ]);
        let shared = json!([
            { "from": "system", "value": "Be brief." },
            { "from": "human", "value": "1 + 1?" },
            { "from": "gpt", "value": "2" },
        ]);
        assert_eq!(Message::all_of(&usual).unwrap(), expected);
        assert_eq!(Message::all_of(&shared).unwrap(), expected);
        let wrong = |value: Value| Message::all_of(&value).unwrap_err().to_string();
        insta::assert_snapshot!([wrong(json!("a")), wrong(json!([{ "role": "user", "content": null }]))].join("\n"), @r"
        it is no list of messages
        message 1 is no message: it needs a `role` and a `content`, or `from` and `value`
        ");
    }
}

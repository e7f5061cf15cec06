//! Chats: lists of messages with a role each, as `{"role": "user", "content": "…"}` or `{"from": "human", "value": "…"}`.

use super::error::{ChatError, FieldError};
use super::record::{Field, ForeignRecord};

/// The names of the fields that hold a chat.
const NAMES: [&str; 2] = ["messages", "conversations"];

/// The question and the answer of a chat.
#[derive(Debug, PartialEq)]
pub struct Chat {
    /// The field that has it.
    pub field: &'static str,
    /// What the system says, if anything, an empty line, and what the user says.
    pub prompt: String,
    /// What the assistant answers.
    pub completion: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Role {
    System,
    User,
    Assistant,
}

/// The chat of a record that has one; `None` for all others.
///
/// # Errors
/// When it is more, or other, than one question and one answer, or when the record has two that differ; the message names the field.
pub fn chat(record: &ForeignRecord) -> Result<Option<Chat>, (&'static str, FieldError)> {
    let mut first: Option<Chat> = None;
    for name in NAMES {
        let found = record.get(name).map_err(|error| (name, error))?;
        let Some(field) = found.filter(|field| matches!(field.what(), "a list")) else {
            continue;
        };
        let chat = read(field.into_owned(), name);
        first = match first {
            None => Some(chat.map_err(|error| (name, error))?),
            Some(first) if chat.as_ref().is_ok_and(|chat| chat.says_the_same(&first)) => Some(first),
            Some(Chat { field, .. }) => return Err((name, ChatError::Differs { other: field.to_owned() }.into())),
        };
    }
    Ok(first)
}

impl Chat {
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.prompt, &self.completion) == (&other.prompt, &other.completion)
    }
}

fn read(field: Field, name: &'static str) -> Result<Chat, FieldError> {
    let Field::List(items) = field.unpacked()? else {
        return Err(ChatError::NoPair.into());
    };
    let mut messages = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        messages.push(message(item, place)?);
    }
    let start = messages
        .iter()
        .position(|(role, _)| *role != Role::System)
        .unwrap_or(messages.len());
    let turns = messages.split_off(start);
    let system = messages;
    let is_pair = matches!(turns.as_slice(), [(Role::User, _), (Role::Assistant, _)]);
    let mut prompt: Vec<String> = system.into_iter().map(|(_, text)| text).collect();
    match <[(Role, String); 2]>::try_from(turns) {
        Ok([(_, question), (_, completion)]) if is_pair => {
            prompt.push(question);
            prompt.retain(|text| !text.is_empty());
            Ok(Chat {
                field: name,
                prompt: prompt.join("\n\n"),
                completion,
            })
        }
        Err(turns) if turns.len() > 2 => Err(ChatError::SeveralTurns {
            name: name.to_owned(),
            count: turns.len(),
        }
        .into()),
        _ => Err(ChatError::NoPair.into()),
    }
}

/// A message. `place` is its place in the list, from 0.
fn message(item: Field, place: usize) -> Result<(Role, String), FieldError> {
    let wrong = || FieldError::from(ChatError::NoMessage(place));
    let Field::Object(fields) = item.unpacked()? else {
        return Err(wrong());
    };
    let record = ForeignRecord(fields);
    let part = |name: &str, other: &str| {
        let field = record.get(name)?;
        let field = if field.is_some() { field } else { record.get(other)? };
        field.ok_or_else(wrong).and_then(|field| text(field.into_owned(), place))
    };
    let role = match part("role", "from")?.as_str() {
        "system" | "developer" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" | "model" => Role::Assistant,
        other => return Err(ChatError::Role(other.to_owned()).into()),
    };
    Ok((role, part("content", "value")?))
}

/// The text of a message, which may be a list of parts: `[{"type": "text", "text": "…"}]`.
fn text(field: Field, place: usize) -> Result<String, FieldError> {
    let wrong = || FieldError::from(ChatError::NoMessage(place));
    let parts = match field.unpacked()? {
        Field::Text(text) => return Ok(text),
        Field::List(parts) => parts,
        _ => return Err(wrong()),
    };
    let mut whole = String::new();
    for part in parts {
        let Field::Object(fields) = part.unpacked()? else {
            return Err(wrong());
        };
        match ForeignRecord(fields).get("text")?.map(std::borrow::Cow::into_owned) {
            Some(Field::Text(text)) => whole.push_str(&text),
            _ => return Err(wrong()),
        }
    }
    Ok(whole)
}

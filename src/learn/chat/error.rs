//! Errors of chats.

/// A conversation cannot be written as a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    #[error(
        "the model has no chat template; import a model that has one (`chat_template.jinja`), or write the prompt as a text with `{{question}}`"
    )]
    NoTemplate,
    #[error("the chat template is not valid (line {line}): {problem}")]
    Syntax { line: usize, problem: String },
    #[error("the chat template has {found} bytes, but one has at most {most}")]
    TooLong { found: usize, most: usize },
    #[error("the chat template multiplies (`*`), which is not supported: a list could be made as long as one likes so")]
    Multiplies,
    #[error("the chat template fails (line {line}): {problem}")]
    Failed { line: usize, problem: String },
    #[error("the chat template refuses the conversation: {0}")]
    Raised(String),
    #[error(
        "the chat template writes today's date, and a result must not depend on the day; say which date it is to write: `prompt = {{ chat = {{ date = \"2024-07-26\" }} }}`"
    )]
    NoDate,
    #[error("the chat template takes too many steps or too much memory for this conversation")]
    OutOfFuel,
    #[error("the chat template writes more than {most} bytes for this conversation")]
    TooMuch { most: usize },
    #[error("the conversation has the character U+{:04X}, which is no character of a text; take it out", *.0 as u32)]
    Noncharacter(char),
    #[error("the conversation has {found} turns, but one has at most {most}")]
    TooManyTurns { found: usize, most: usize },
    #[error("the conversation has no turn of the role `assistant`, which a model could learn from")]
    NoAnswer,
    #[error("cannot tell what the assistant says in turn {turn} of the conversation: {why}")]
    Unclear { turn: usize, why: String },
}

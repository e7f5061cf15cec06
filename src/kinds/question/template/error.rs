//! Why a template cannot be read or filled in.

use lab::text::beginning;

/// More characters of a text are not quoted.
const MAX_QUOTED: usize = 80;

/// Why a template cannot be read or filled in.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{{{` is not closed: a field is written `{{{{question}}}}`")]
    Open,
    #[error("`{{{{{0}}}}}` names no field: write `{{{{question}}}}`, `{{{{meta.id}}}}` or `{{{{choices[0]}}}}`")]
    Path(String),
    #[error("no field `{name}` (known: {known})")]
    NoField { name: String, known: String },
    #[error("`{at}` has no field `{name}` (known: {known})")]
    NoPart { at: String, name: String, known: String },
    #[error("`{at}` has {count} items, and no item {place}")]
    NoItem { at: String, place: i64, count: usize },
    #[error("`{at}` is {what} and has no parts")]
    NoParts { at: String, what: &'static str },
    #[error("the template gives no list of choices, as `[\"yes\", \"no\"]` is one: `{template}` gives `{found}`")]
    NoList { template: String, found: String },
    #[error("Jinja, line {line}: {problem}")]
    Jinja { line: usize, problem: String },
    #[error("the template was stopped: it takes too long, or gives too much text")]
    TooMuch,
}

/// The beginning of a text, for a message.
pub(super) fn shortened(text: &str) -> String {
    beginning(text, MAX_QUOTED)
}

//! Why a record cannot become a row.

use learn::dataset::{DatasetError, ExactValue};

use crate::foreign::FieldError;
use crate::question::template::TemplateError;
use crate::questioner::QuestionError;
use crate::task::PublishedRowError;

/// Why a record cannot become a row.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportRecordError {
    #[error("stopped")]
    Stopped,
    #[error("the id `{0}` appears twice{hint}", hint = if *.1 { " (the record has none, so it is its number)" } else { "" })]
    RepeatedId(String, bool),
    #[error("no field `{name}`: the record is empty")]
    NoFields { name: String },
    #[error("no field `{name}` (known: {}); set its name in `fields`", known.join(", "))]
    NoField { name: String, known: Vec<String> },
    #[error("field `{name}` is {what}")]
    Empty { name: String, what: &'static str },
    #[error("field `{name}` {problem}")]
    Field { name: String, problem: FieldError },
    #[error("`fields` gives the column `{column}` another name, so none is left for `{name}`: set `fields.{name}`")]
    Taken { name: &'static str, column: String },
    #[error("field `{0}` stands twice")]
    Repeated(String),
    #[error("{problem}; `fields` has the path `{name}`")]
    Path { name: String, problem: FieldError },
    #[error("`fields.{field}`: {problem}")]
    Template { field: &'static str, problem: TemplateError },
    #[error("the number of steps is {0}, and must be a whole number from 0")]
    StepNumber(ExactValue),
    #[error("the solution has no `the answer is …`, and there is no field for the answer: set `fields.answer`")]
    NoAnswer,
    #[error(transparent)]
    Question(#[from] QuestionError),
    #[error(transparent)]
    Published(#[from] PublishedRowError),
    #[error(transparent)]
    Write(#[from] DatasetError),
}

//! What a task asks a model: the texts of its questions, their choices and right answers.

mod ask;
pub mod template;

pub use ask::{Asked, QuestionError, Questioner, render};

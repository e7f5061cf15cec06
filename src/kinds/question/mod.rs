//! What a task asks a model: the texts of its questions, their choices and right answers.

pub mod template;

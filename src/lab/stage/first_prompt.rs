//! The first prompt of a stage, for somebody who wants to read it before the stage runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

/// What a stage is given to write its first prompt.
#[derive(Debug, Default)]
pub struct PromptInputs {
    /// The artifacts at the inputs with data and answers.
    pub artifacts: BTreeMap<String, Vec<PathBuf>>,
    /// How the model at an input is asked, which is known before it is there: see [`super::Stage::asks_with`].
    pub model: Option<Value>,
}

impl PromptInputs {
    /// The artifacts at an input.
    pub fn list(&self, port: &str) -> &[PathBuf] {
        self.artifacts.get(port).map_or(&[], Vec::as_slice)
    }
}

/// A prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPrompt {
    /// The id of the row that it is about.
    pub row: String,
    /// As the model reads it.
    pub text: String,
}

//! How a model is asked, as far as it is known before the model is there.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use lab::stage::{StageError, failed};
use learn::dataset::Prompt;
use learn::model::{self, ModelChat};

/// The prompt that a model has by itself, and its chat template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ModelPrompt {
    pub prompt: Prompt,
    pub chat: Option<ModelChat>,
}

/// That of the model in a folder, as [`lab::stage::Stage::asks_with`] gives it.
///
/// # Errors
/// When it is no model, or is damaged.
pub fn model_prompt(folder: &Path) -> Result<Value, StageError> {
    let model = model::open(folder).map_err(failed)?;
    Ok(json!(ModelPrompt {
        prompt: model.prompt,
        chat: model.chat,
    }))
}

impl ModelPrompt {
    /// That which another stage, or [`model_prompt`], has given.
    ///
    /// # Errors
    /// When it is something else.
    pub fn read(value: &Value) -> Result<Self, StageError> {
        Self::deserialize(value).map_err(failed)
    }
}

//! JSON files of a model's folder.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ModelError;

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let bytes = std::fs::read(path).map_err(|error| ModelError::Read {
        path: path.to_owned(),
        error,
    })?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        error,
    })
}

pub(super) fn write_json(value: &impl Serialize, path: &Path) -> Result<(), ModelError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ModelError::Json {
        path: path.to_owned(),
        error,
    })?;
    text.push('\n');
    std::fs::write(path, text).map_err(|error| ModelError::Write {
        path: path.to_owned(),
        error,
    })
}

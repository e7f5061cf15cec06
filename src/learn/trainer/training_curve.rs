//! The training curve, `training.jsonl` in a model's folder: the one place that writes and reads it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::dataset::{self, DatasetError};

/// One line of the file: means over the steps since the last line with a loss, or a held-out loss, or both. `train` writes all fields but
/// those of what it has not measured; in a model of another program, only the step and one of the losses are required.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PointFields")]
pub struct TrainingPoint {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean cross-entropy over the trained tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// Of the last of these steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Before clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gradient_norm: Option<f64>,
    /// Tokens seen since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Held-out loss after this step: mean cross-entropy over the tokens of the validation set that would be trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_loss: Option<f64>,
}

/// The fields of a point as they are read.
#[derive(Deserialize)]
struct PointFields {
    step: u64,
    loss: Option<f64>,
    learning_rate: Option<f64>,
    gradient_norm: Option<f64>,
    tokens: Option<u64>,
    validation_loss: Option<f64>,
}

impl TryFrom<PointFields> for TrainingPoint {
    type Error = &'static str;

    fn try_from(fields: PointFields) -> Result<Self, Self::Error> {
        if fields.loss.or(fields.validation_loss).is_none() {
            return Err("missing field `loss`");
        }
        Ok(Self {
            step: fields.step,
            loss: fields.loss,
            learning_rate: fields.learning_rate,
            gradient_norm: fields.gradient_norm,
            tokens: fields.tokens,
            validation_loss: fields.validation_loss,
        })
    }
}

/// Writes the curve into a model's folder; equal curves give equal bytes.
pub(super) fn write(folder: &Path, curve: &[TrainingPoint]) -> Result<(), TrainError> {
    let lines = curve.iter().map(|point| Ok(serde_json::to_string(point)? + "\n"));
    let text = lines.collect::<Result<String, serde_json::Error>>().map_err(std::io::Error::from);
    let path = path(folder);
    let written = text.and_then(|text| std::fs::write(&path, text));
    written.map_err(|error| TrainError::Write { path, error })
}

/// Reads the curve from a model's folder; `None` if it has no curve, as an imported model.
///
/// # Errors
/// When the file cannot be read, or a line is not a point of a curve; the message names the file.
pub fn read(folder: &Path) -> Result<Option<Vec<TrainingPoint>>, DatasetError> {
    let path = path(folder);
    path.exists().then(|| dataset::read(&path)).transpose()
}

fn path(folder: &Path) -> PathBuf {
    folder.join("training.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        let curve = [
            TrainingPoint {
                step: 3,
                loss: Some(0.5),
                learning_rate: Some(0.001),
                gradient_norm: Some(1.0),
                tokens: Some(30),
                validation_loss: None,
            },
            TrainingPoint {
                step: 4,
                validation_loss: Some(0.75),
                ..TrainingPoint::default()
            },
        ];
        write(folder.path(), &curve).unwrap();
        let text = std::fs::read_to_string(folder.path().join("training.jsonl")).unwrap();
        assert_eq!(
            text,
            "{\"step\":3,\"loss\":0.5,\"learning_rate\":0.001,\"gradient_norm\":1.0,\"tokens\":30}\n{\"step\":4,\"validation_loss\":0.75}\n"
        );
        assert_eq!(read(folder.path()).unwrap().as_deref(), Some(&curve[..]));
        std::fs::write(folder.path().join("training.jsonl"), "{\"step\": 3, \"loss\": 0.5}\n").unwrap();
        let points = read(folder.path()).unwrap().unwrap();
        assert_eq!((points[0].loss, points[0].tokens), (Some(0.5), None), "a curve of another program");
        std::fs::write(folder.path().join("training.jsonl"), "{\"step\": 3}\n").unwrap();
        let error = read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("training.jsonl:1: missing field `loss`"), "{error}");
    }
}

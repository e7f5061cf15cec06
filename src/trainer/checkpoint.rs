//! Checkpoints: all that a training needs to go on as if it had never stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::history::Moment;
use super::start::Start;
use super::{Recipe, TrainError};
use crate::dataset::Row;
use crate::engine::Moments;
use crate::model::{Array, Weights};

const FILE: &str = "checkpoint.safetensors";
/// Overwritten by the next checkpoint, should a killed process leave one.
const UNFINISHED: &str = "checkpoint.unfinished";

/// A training after some step.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    pub(super) weights: Weights,
    pub(super) moments: Moments,
    /// One entry for each step done.
    pub(super) history: Vec<Moment>,
}

/// Names a training: recipe, rows, start, seed and version of the program. A checkpoint of another is not gone on from.
pub(super) fn identity(recipe: &Recipe, rows: &[Row], start: &Start, seed: u64) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new_derive_key("runner 2026 training checkpoint v2");
    // Debug texts hold every field, and floats in full.
    hasher.update(format!("{} {seed} {recipe:?}", env!("CARGO_PKG_VERSION")).as_bytes());
    for row in rows {
        hasher.update(format!("{row:?}").as_bytes());
    }
    hasher.update(format!("{:?} {}", start.shape, start.tokenizer.json()?).as_bytes());
    for (name, array) in &start.weights {
        hasher.update(name.as_bytes());
        hasher.update(&array.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

impl Checkpoint {
    /// Puts the checkpoint of the training `identity` into the folder `scratch`, in place of an earlier one.
    pub(super) fn write(&self, scratch: &Path, identity: &str) -> Result<(), TrainError> {
        let bytes = self.bytes(identity).map_err(TrainError::Checkpoint)?;
        let unfinished = scratch.join(UNFINISHED);
        let failed = |path: PathBuf| move |error| TrainError::Write { path, error };
        std::fs::create_dir_all(scratch).map_err(failed(scratch.to_owned()))?;
        std::fs::write(&unfinished, bytes).map_err(failed(unfinished.clone()))?;
        // Renamed when complete: a process killed meanwhile leaves the earlier one.
        std::fs::rename(&unfinished, scratch.join(FILE)).map_err(failed(scratch.join(FILE)))
    }

    fn bytes(&self, identity: &str) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let history = self.history.iter();
        let numbers = history.flat_map(|moment| [moment.loss, moment.gradient_norm, moment.tokens]);
        let history: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
        let mut buffers = vec![("history".to_owned(), Dtype::F64, vec![self.history.len(), 3], history)];
        let groups = [
            ("weights", &self.weights),
            ("first", &self.moments.first),
            ("second", &self.moments.second),
        ];
        for (group, arrays) in groups {
            for (name, array) in arrays {
                let bytes = array.data.iter().flat_map(|x| x.to_le_bytes()).collect();
                buffers.push((format!("{group}/{name}"), Dtype::F32, array.shape.clone(), bytes));
            }
        }
        let views = buffers
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = HashMap::from([("identity".to_owned(), identity.to_owned())]);
        safetensors::serialize(views, Some(metadata))
    }

    /// The checkpoint of the training `identity` in `scratch`; nothing where there is none, or one that is damaged or another's:
    /// then the training starts anew.
    pub(super) fn read(scratch: &Path, identity: &str) -> Option<Self> {
        let bytes = std::fs::read(scratch.join(FILE)).ok()?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
        if metadata.metadata().as_ref()?.get("identity")? != identity {
            return None;
        }
        let file = SafeTensors::deserialize(&bytes).ok()?;
        let numbers: Vec<f64> = file
            .tensor("history")
            .ok()?
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|eight| f64::from_le_bytes(*eight))
            .collect();
        let history: Vec<Moment> = numbers
            .as_chunks()
            .0
            .iter()
            .map(|&[loss, gradient_norm, tokens]| Moment {
                loss,
                gradient_norm,
                tokens,
            })
            .collect();
        let mut groups: BTreeMap<&str, Weights> = BTreeMap::new();
        for (name, view) in file.iter() {
            if let Some((group, name)) = name.split_once('/') {
                let data = view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
                let shape = view.shape().to_vec();
                groups.entry(group).or_default().insert(name.to_owned(), Array { shape, data });
            }
        }
        Some(Self {
            weights: groups.remove("weights")?,
            moments: Moments {
                steps: history.len() as u64,
                first: groups.remove("first")?,
                second: groups.remove("second")?,
            },
            history,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::Material;

    fn checkpoint() -> Checkpoint {
        let array = |x: f32| {
            let shape = vec![2, 1];
            BTreeMap::from([("a.b".to_owned(), Array { shape, data: vec![x, -x] })])
        };
        let moment = Moment {
            loss: 0.1 + 0.2,
            gradient_norm: 1e-300,
            tokens: 77.0,
        };
        Checkpoint {
            weights: array(1.5),
            moments: Moments {
                steps: 1,
                first: array(0.1),
                second: array(1e-30),
            },
            history: vec![moment],
        }
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        checkpoint().write(folder.path(), "mine").unwrap();
        assert_eq!(Checkpoint::read(folder.path(), "mine"), Some(checkpoint()));
    }

    #[test]
    fn foreign_damaged_and_missing_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::read(folder.path(), "mine"), None);
        checkpoint().write(folder.path(), "mine").unwrap();
        assert_eq!(Checkpoint::read(folder.path(), "yours"), None);
        let path = folder.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(Checkpoint::read(folder.path(), "mine"), None);
    }

    #[test]
    fn recipe_rows_start_and_seed_name_a_training() {
        let recipe = Recipe::default();
        let longer = Recipe {
            steps: 2001,
            ..Recipe::default()
        };
        let row = Row {
            id: "1".to_owned(),
            prompt: String::new(),
            completion: String::new(),
            step_num: 1,
            answer: 1.into(),
        };
        let rows = [row];
        let material = Material {
            rows: &rows,
            vocabulary: &[],
            base: None,
        };
        let start = || Start::of(&recipe, &material, 1).unwrap();
        let named = |recipe: &Recipe, rows: &[Row], start: &Start, seed| identity(recipe, rows, start, seed).unwrap();
        let mine = named(&recipe, &rows, &start(), 1);
        assert_eq!(mine, named(&recipe, &rows, &start(), 1));
        let mut elsewhere = start();
        elsewhere.weights.values_mut().next().unwrap().data[0] += 1.0;
        for other in [
            named(&longer, &rows, &start(), 1),
            named(&recipe, &[], &start(), 1),
            named(&recipe, &rows, &start(), 2),
            named(&recipe, &rows, &elsewhere, 1),
        ] {
            assert_ne!(mine, other);
        }
    }
}

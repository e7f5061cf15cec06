//! Checkpoints: the complete state of a training, so that it resumes as if it had never stopped. They are written directly from the
//! engine's buffers and read tensor by tensor, so neither takes much memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::View;
use safetensors::tensor::Dtype;

use super::history::StepMetrics;
use super::start::TrainingStart;
use super::{Recipe, TrainError};
use crate::dataset::Row;
use crate::engine::{EngineError, TensorGroup, TrainingEngine};
use crate::model::{Array, StoredTensor, TensorFile, le_bytes, write_tensors};

const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// The prefix of folders in which a checkpoint is being written.
const UNFINISHED_PREFIX: &str = "checkpoint.unfinished";

/// Identifies a training by recipe, rows, start, seed and version of the program. Checkpoints of other trainings are ignored.
pub(super) fn identity(recipe: &Recipe, rows: &[Row], start: &TrainingStart, seed: u64) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new_derive_key("runner 2026 training checkpoint v2");
    // The `Debug` format has every field, and floats with all digits.
    hasher.update(format!("{} {seed} {recipe:?}", env!("CARGO_PKG_VERSION")).as_bytes());
    for row in rows {
        hasher.update(format!("{row:?}").as_bytes());
    }
    hasher.update(format!("{:?} {}", start.shape, start.tokenizer.json()?).as_bytes());
    for (name, array) in &start.weights {
        hasher.update(name.as_bytes());
        hasher.update(&le_bytes(&array.data));
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Writes a checkpoint of the training `identity` to the folder `scratch`, replacing an earlier one: the state of `engine`, and the
/// `history` with one entry per step.
pub(super) fn write(engine: &dyn TrainingEngine, history: &[StepMetrics], scratch: &Path, identity: &str) -> Result<(), TrainError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| TrainError::Write { path, error }
    };
    let parts =
        [TensorGroup::Weights, TensorGroup::First, TensorGroup::Second].map(|part| engine.tensors(part).map(|tensors| (part, tensors)));
    let parts = parts.into_iter().collect::<Result<Vec<_>, EngineError>>()?;
    let shape = [history.len(), 3];
    let numbers = history.iter().flat_map(|moment| [moment.loss, moment.gradient_norm, moment.tokens]);
    let mut tensors = vec![("history".to_owned(), StoredTensor::f64(&shape, numbers))];
    for (part, named) in &parts {
        let named = named.iter();
        tensors.extend(named.map(|tensor| (stored_name(*part, &tensor.name), StoredTensor::f32(&tensor.shape, &tensor.data))));
    }
    tensors.sort_by(|(left, _), (right, _)| left.cmp(right));
    let mut sum = Checksum::new();
    tensors.iter().for_each(|(name, tensor)| sum.add(name, &tensor.data()));
    let metadata = [("identity", identity.to_owned()), ("sum", sum.finish())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    std::fs::create_dir_all(scratch).map_err(failed(scratch))?;
    // A separate folder, since another process whose runner was killed may still be writing its last checkpoint.
    let folder = tempfile::Builder::new().prefix(UNFINISHED_PREFIX).tempdir_in(scratch);
    let folder = folder.map_err(failed(scratch))?;
    let (unfinished, finished) = (folder.path().join(CHECKPOINT_FILE), path(scratch));
    write_tensors(tensors, metadata, &unfinished).map_err(failed(&unfinished))?;
    // Renamed after it is complete on the disk: if the process is killed or the power fails, the earlier checkpoint stays.
    let synced = File::open(&unfinished).and_then(|file| file.sync_all());
    synced.map_err(failed(&unfinished))?;
    std::fs::rename(&unfinished, &finished).map_err(failed(&finished))
}

/// Removes unfinished checkpoints of killed processes.
pub(super) fn clear_unfinished(scratch: &Path) {
    let entries = std::fs::read_dir(scratch).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED_PREFIX)) {
        // If that fails, it only takes space until the stage ends.
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(entry.path()),
            _ => std::fs::remove_file(entry.path()),
        };
    }
}

/// A digest of named tensors. A file of the right length may still contain numbers that did not reach the disk.
struct Checksum(blake3::Hasher);

impl Checksum {
    fn new() -> Self {
        Self(blake3::Hasher::new_derive_key("runner 2026 training checkpoint sum v1"))
    }

    /// Adds the next tensor by name.
    fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.update(&(name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update_rayon(bytes);
    }

    fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// The path of a training's checkpoint.
pub(super) fn path(scratch: &Path) -> PathBuf {
    scratch.join(CHECKPOINT_FILE)
}

fn stored_name(part: TensorGroup, name: &str) -> String {
    let group = match part {
        TensorGroup::Weights => "weights",
        TensorGroup::First => "first",
        TensorGroup::Second => "second",
    };
    format!("{group}/{name}")
}

/// An opened checkpoint.
pub(super) struct Checkpoint {
    file: TensorFile,
    /// One entry for each step done.
    pub(super) history: Vec<StepMetrics>,
}

impl Checkpoint {
    /// Opens the checkpoint of the training `identity` in `scratch`. Returns `None` if it is missing, damaged, or of another training; then the
    /// training starts from the beginning.
    pub(super) fn open(scratch: &Path, identity: &str) -> Option<Self> {
        let file = TensorFile::open(&path(scratch)).ok()?;
        if file.note("identity")? != identity {
            return None;
        }
        let expected = file.note("sum")?;
        let mut names = file.names();
        names.sort();
        let mut sum = Checksum::new();
        for name in names {
            sum.add(&name, &file.bytes(file.info(&name)?).ok()?);
        }
        if expected != sum.finish() {
            return None;
        }
        let (_, bytes) = bytes(&file, "history", Dtype::F64)?.ok()?;
        let numbers: Vec<f64> = bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect();
        let moments = numbers.as_chunks().0.iter();
        let history = moments.map(|&[loss, gradient_norm, tokens]| StepMetrics {
            loss,
            gradient_norm,
            tokens,
        });
        Some(Self {
            history: history.collect(),
            file,
        })
    }

    /// One tensor.
    pub(super) fn tensor(&self, part: TensorGroup, name: &str) -> Result<Array, EngineError> {
        let missing = || EngineError::Missing(name.to_owned());
        let found = bytes(&self.file, &stored_name(part, name), Dtype::F32).ok_or_else(missing)?;
        let (shape, bytes) = found.map_err(|error| EngineError::Unreadable {
            name: name.to_owned(),
            error,
        })?;
        let data = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Ok(Array { shape, data })
    }
}

/// Shape and bytes of a tensor of this type, or `None` if there is none.
fn bytes(file: &TensorFile, name: &str, dtype: Dtype) -> Option<io::Result<(Vec<usize>, Vec<u8>)>> {
    let info = file.info(name).filter(|info| info.dtype == dtype)?;
    Some(file.bytes(info).map(|bytes| (info.shape.clone(), bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Doc;
    use crate::engine::{Batch, NamedTensor, ReadTensor, StepResult};
    use crate::trainer::TrainingData;

    /// An engine of one weight, whose moments are its tenth and its hundredth.
    struct One([f32; 2]);

    impl TrainingEngine for One {
        fn step(&mut self, _: &[Batch], _: f64) -> Result<StepResult, EngineError> {
            Err(EngineError::AllFrozen)
        }

        fn steps(&self) -> u64 {
            1
        }

        fn trained(&self) -> usize {
            self.0.len()
        }

        fn tensors(&self, part: TensorGroup) -> Result<Vec<NamedTensor<'_>>, EngineError> {
            let factor = match part {
                TensorGroup::Weights => return Ok(vec![NamedTensor::borrowed("a.b", &[2, 1], &self.0)]),
                TensorGroup::First => 0.1,
                TensorGroup::Second => 0.01,
            };
            Ok(vec![NamedTensor {
                data: self.0.iter().map(|x| x * factor).collect(),
                ..NamedTensor::borrowed("a.b", &[2, 1], &[])
            }])
        }

        fn finish(self: Box<Self>) -> Result<crate::model::Weights, EngineError> {
            self.weights()
        }

        fn restore(&mut self, _: u64, _: &mut ReadTensor<'_>) -> Result<(), EngineError> {
            Err(EngineError::AllFrozen)
        }
    }

    const HISTORY: [StepMetrics; 1] = [StepMetrics {
        loss: 0.1 + 0.2,
        gradient_norm: 1e-300,
        tokens: 77.0,
    }];

    fn write_one(folder: &Path) {
        write(&One([1.5, -1e-30]), &HISTORY, folder, "mine").unwrap();
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        write_one(folder.path());
        let checkpoint = Checkpoint::open(folder.path(), "mine").unwrap();
        assert_eq!(checkpoint.history, HISTORY);
        let engine = One([1.5, -1e-30]);
        for part in [TensorGroup::Weights, TensorGroup::First, TensorGroup::Second] {
            let array = checkpoint.tensor(part, "a.b").unwrap();
            let tensors = engine.tensors(part).unwrap();
            assert_eq!(
                (array.shape.as_slice(), array.data.as_slice()),
                (&*tensors[0].shape, &*tensors[0].data)
            );
        }
        insta::assert_snapshot!(checkpoint.tensor(TensorGroup::First, "c").unwrap_err(), @"tensor `c` is missing");
    }

    #[test]
    fn what_was_begun_and_not_finished_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        write_one(folder.path());
        std::fs::create_dir(folder.path().join("checkpoint.unfinished1")).unwrap();
        std::fs::write(folder.path().join("checkpoint.unfinished"), "").unwrap();
        clear_unfinished(folder.path());
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, [CHECKPOINT_FILE]);
    }

    #[test]
    fn foreign_damaged_and_missing_ones_are_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Checkpoint::open(folder.path(), "mine").is_none());
        write_one(folder.path());
        assert!(Checkpoint::open(folder.path(), "mine").is_some());
        assert!(Checkpoint::open(folder.path(), "yours").is_none());
        let path = folder.path().join(CHECKPOINT_FILE);
        let bytes = std::fs::read(&path).unwrap();
        for length in [bytes.len() - 1, 100, 9, 8, 3, 0] {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(Checkpoint::open(folder.path(), "mine").is_none(), "{length}");
        }
        // Of full length, but its end never reached the disk.
        let mut torn = bytes.clone();
        torn[bytes.len() - 4..].fill(0);
        std::fs::write(&path, torn).unwrap();
        assert!(Checkpoint::open(folder.path(), "mine").is_none());
        std::fs::write(&path, &bytes).unwrap();
        assert!(Checkpoint::open(folder.path(), "mine").is_some());
        std::fs::write(&path, [u8::MAX; 100]).unwrap();
        assert!(Checkpoint::open(folder.path(), "mine").is_none());
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
            doc: Doc::default(),
        };
        let rows = [row];
        let data = TrainingData {
            rows: &rows,
            vocabulary: &[],
            base: None,
        };
        let start = || TrainingStart::new(&recipe, &data, 1, None).unwrap();
        let named = |recipe: &Recipe, rows: &[Row], start: &TrainingStart, seed| identity(recipe, rows, start, seed).unwrap();
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

//! Checkpoints: the complete state of a training, so that it resumes as if it had never stopped. They are written directly from the
//! engine's buffers and read tensor by tensor, so neither takes much memory.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use safetensors::View;
use safetensors::tensor::Dtype;

use super::history::StepMetrics;
use super::start::TrainingStart;
use super::validation::HeldOutLoss;
use super::{Recipe, TrainError, TrainingData};
use crate::engine::{EngineError, TensorGroup, TrainingEngine};
use crate::model::{Array, StoredTensor, TensorFile, Weights, le_bytes, write_tensors};

const CHECKPOINT_FILE: &str = "checkpoint.safetensors";
/// The prefix of folders in which a checkpoint is being written.
const UNFINISHED_PREFIX: &str = "checkpoint.unfinished";

/// The prefix of the names of the best step's weights.
const BEST_PREFIX: &str = "best/";

/// What a training has done so far, besides the state of its engine.
#[derive(Clone, Copy)]
pub(super) struct Progress<'a> {
    /// One entry for each step done.
    pub(super) history: &'a [StepMetrics],
    /// The held-out losses so far.
    pub(super) held_out: &'a [HeldOutLoss],
    /// The weights of the best step, if they are kept. They are part of the checkpoint, so that they are always those of its best step.
    pub(super) best: Option<&'a Weights>,
}

/// Identifies a training by recipe, rows, start, seed and version of the program. Checkpoints of other trainings are ignored.
pub(super) fn identity(recipe: &Recipe, data: &TrainingData<'_>, start: &TrainingStart, seed: u64) -> Result<String, TrainError> {
    let mut hasher = blake3::Hasher::new_derive_key("runner 2026 training checkpoint v3");
    // The `Debug` format has every field, and floats with all digits.
    hasher.update(format!("{} {seed} {recipe:?}", env!("CARGO_PKG_VERSION")).as_bytes());
    for rows in [Some(data.rows), data.validation] {
        // The number of rows tells where the one set ends and the other begins.
        hasher.update(format!("{:?} ", rows.map(<[_]>::len)).as_bytes());
        for row in rows.unwrap_or_default() {
            hasher.update(format!("{row:?}").as_bytes());
        }
    }
    hasher.update(format!("{:?} {}", start.shape, start.tokenizer.json()?).as_bytes());
    for (name, array) in &start.weights {
        hasher.update(name.as_bytes());
        hasher.update(&le_bytes(&array.data));
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Writes a checkpoint of the training `identity` to the folder `scratch`, replacing an earlier one: the state of `engine`, and what was
/// `done`.
pub(super) fn write(engine: &dyn TrainingEngine, done: Progress<'_>, scratch: &Path, identity: &str) -> Result<(), TrainError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error| TrainError::Write { path, error }
    };
    let parts =
        [TensorGroup::Weights, TensorGroup::First, TensorGroup::Second].map(|part| engine.tensors(part).map(|tensors| (part, tensors)));
    let parts = parts.into_iter().collect::<Result<Vec<_>, EngineError>>()?;
    let Progress { history, held_out, best } = done;
    let shapes = [[history.len(), 3], [held_out.len(), 2]];
    let numbers = history.iter().flat_map(|moment| [moment.loss, moment.gradient_norm, moment.tokens]);
    let mut tensors = vec![("history".to_owned(), StoredTensor::f64(&shapes[0], numbers))];
    // Steps are far below the whole numbers that f64 has no more.
    let numbers = held_out.iter().flat_map(|found| [found.step as f64, found.loss]);
    tensors.push(("validation".to_owned(), StoredTensor::f64(&shapes[1], numbers)));
    let kept = best.into_iter().flatten();
    tensors.extend(kept.map(|(name, array)| (format!("{BEST_PREFIX}{name}"), StoredTensor::f32(&array.shape, &array.data))));
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
    /// The held-out losses so far.
    pub(super) held_out: Vec<HeldOutLoss>,
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
        let (moments, found) = (numbers(&file, "history")?, numbers(&file, "validation")?);
        let moments = moments.as_chunks().0.iter();
        let history = moments.map(|&[loss, gradient_norm, tokens]| StepMetrics {
            loss,
            gradient_norm,
            tokens,
        });
        let found = found.as_chunks().0.iter();
        let held_out = found.map(|&[step, loss]| HeldOutLoss { step: step as u64, loss });
        Some(Self {
            history: history.collect(),
            held_out: held_out.collect(),
            file,
        })
    }

    /// The weights of the best step; `None` if none were kept.
    pub(super) fn best(&self) -> Result<Option<Weights>, EngineError> {
        let names = self.file.names();
        let kept = names.iter().filter_map(|stored| Some((stored, stored.strip_prefix(BEST_PREFIX)?)));
        let kept = kept.map(|(stored, name)| Ok((name.to_owned(), self.array(stored, name)?)));
        let best = kept.collect::<Result<Weights, EngineError>>()?;
        Ok((!best.is_empty()).then_some(best))
    }

    /// One tensor.
    pub(super) fn tensor(&self, part: TensorGroup, name: &str) -> Result<Array, EngineError> {
        self.array(&stored_name(part, name), name)
    }

    /// The tensor that is `stored` under a name of its group; messages have its own `name`.
    fn array(&self, stored: &str, name: &str) -> Result<Array, EngineError> {
        let missing = || EngineError::Missing(name.to_owned());
        let found = bytes(&self.file, stored, Dtype::F32).ok_or_else(missing)?;
        let (shape, bytes) = found.map_err(|error| EngineError::Unreadable {
            name: name.to_owned(),
            error,
        })?;
        let data = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Ok(Array { shape, data })
    }
}

/// The numbers of a tensor of f64, or `None` if there is none.
fn numbers(file: &TensorFile, name: &str) -> Option<Vec<f64>> {
    let (_, bytes) = bytes(file, name, Dtype::F64)?.ok()?;
    Some(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight)).collect())
}

/// Shape and bytes of a tensor of this type, or `None` if there is none.
fn bytes(file: &TensorFile, name: &str, dtype: Dtype) -> Option<io::Result<(Vec<usize>, Vec<u8>)>> {
    let info = file.info(name).filter(|info| info.dtype == dtype)?;
    Some(file.bytes(info).map(|bytes| (info.shape.clone(), bytes)))
}

#[cfg(test)]
mod tests;

//! Checks before a training starts that it fits into memory.

use super::examples::Examples;
use super::order::{BatchOrder, per_epoch};
use super::{Recipe, TrainError, TrainingRun};
use crate::engine::{self, Bytes, Dtype, MemoryEstimate, Sequence, Training};
use crate::model::ModelShape;

/// The sizes of batches that determine the memory of a training: those of the first pass over the data, which has each row once, and one of
/// the longest rows, which may meet in a later pass or in the `curriculum`'s batches before the first pass.
pub(super) fn batches(recipe: &Recipe, examples: &Examples<'_>, order: &mut BatchOrder, curriculum: u64) -> Vec<Vec<Sequence>> {
    let lengths = examples.lengths();
    let pass = curriculum..curriculum.saturating_add(per_epoch(lengths.len(), recipe.batch));
    let mut longest: Vec<usize> = (0..lengths.len()).collect();
    longest.sort_by_key(|&row| std::cmp::Reverse(lengths.get(row)));
    longest.truncate(recipe.batch);
    let pass = pass.map(|number| order.batch(number));
    pass.chain([longest]).map(|rows| examples.sequences(&rows)).collect()
}

/// Checks, before the weights of this shape are created, that they alone fit into memory. [`choose_options`] checks the whole training.
///
/// # Errors
/// When they do not fit.
pub(super) fn check_weights_fit(shape: &ModelShape, memory: Option<u64>) -> Result<(), TrainError> {
    let Some(available) = memory.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return Ok(());
    };
    let weights = shape.size().saturating_mul(size_of::<f32>()).saturating_add(engine::PROGRAM_MEMORY);
    if weights <= available {
        return Ok(());
    }
    Err(TrainError::Memory {
        needed: Bytes(weights),
        weights: Bytes(weights),
        activations: Bytes(0),
        available: Bytes(available),
        advice: String::new(),
    })
}

/// The options for training on `batches`, with a copy of `kept` bytes of some weights. Activations are recomputed if the memory does not suffice otherwise. The engine takes and returns
/// the weights one by one. While it returns them they are in memory twice, but everything else is freed.
///
/// # Errors
/// When the memory does not suffice either way.
pub(super) fn choose_options(
    recipe: &Recipe,
    shape: &ModelShape,
    batches: &[Vec<Sequence>],
    kept: usize,
    seed: u64,
    run: &TrainingRun<'_>,
) -> Result<Training, TrainError> {
    let training = |recompute| Training {
        optimizer: recipe.optimizer(),
        frozen: recipe.frozen.clone(),
        recompute,
        lora: recipe.lora.clone(),
        seed,
    };
    let threads = run.threads;
    let Some(available) = run.memory.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return Ok(training(false));
    };
    let need = |dtype, threads, recompute| {
        let batches = batches.iter().map(Vec::as_slice);
        let need = engine::training_memory(recipe.engine, dtype, shape, &training(recompute), threads, batches)?;
        let weights = (need.weights + kept).max(2 * shape.size() * size_of::<f32>()) + engine::PROGRAM_MEMORY;
        Some(MemoryEstimate { weights, ..need })
    };
    let Some(all) = need(recipe.dtype, threads, false) else {
        return Ok(training(false));
    };
    if all.total() <= available {
        return Ok(training(false));
    }
    let again = need(recipe.dtype, threads, true).unwrap_or(all);
    if again.total() <= available {
        return Ok(training(true));
    }
    let (mut advice, mut least) = (Vec::new(), again.total());
    for (dtype, threads, what) in [
        (recipe.dtype, 1, "one thread"),
        (Dtype::Bf16, threads, "`dtype = \"bf16\"`"),
        (Dtype::Bf16, 1, "one thread and bf16"),
    ] {
        if let Some(less) = need(dtype, threads, true).filter(|less| less.total() < least) {
            least = less.total();
            advice.push(format!("{what} {}", Bytes(least)));
        }
    }
    Err(TrainError::Memory {
        needed: Bytes(again.total()),
        weights: Bytes(again.weights),
        activations: Bytes(again.activations),
        available: Bytes(available),
        advice: if advice.is_empty() {
            String::new()
        } else {
            format!(" (with {})", advice.join(", with "))
        },
    })
}

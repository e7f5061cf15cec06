//! The engine of our own: f32 on the processor, with a hand-written backward pass.
//!
//! `docs/engine.md` has the memory layout, the kernels and the measurements. In short: flat parameters ([`layout`]), packed for the
//! products once a step ([`parameters`]); a batch cut into spans of whole sequences that the threads take ([`span`], [`forward`],
//! [`backward`]); the weights' gradients added up matrix by matrix ([`gradient`]); all loops over floats in [`kernel`].

mod adapter;
mod attention;
mod backward;
mod buffer;
mod cache;
mod column_parallel;
mod decode_pass;
mod decoder;
mod dropout;
mod float_weights;
mod forward;
mod gradient;
mod kernel;
mod layout;
mod memory;
mod micro_batch;
mod operand;
mod optimizer;
mod output_layer;
mod packed_matrix;
mod parameters;
mod rows;
mod trainable;
mod trainer;
mod trainer_state;

#[cfg(test)]
mod tests;

use super::{DecodingEngine, Dtype, EngineError, MemoryEstimate, Sequence, Training, TrainingEngine};
use crate::model::{ModelShape, WeightSource, Weights};
use decoder::CpuDecoder;
use kernel::element::Bf16Pair;
use trainer::CpuTrainer;

/// A trainer that starts from `weights` with an empty memory.
///
/// # Errors
/// When a weight is missing or has another shape, or the threads cannot be started.
pub fn trainer(
    shape: &ModelShape,
    weights: Weights,
    training: Training,
    dtype: Dtype,
    threads: usize,
) -> Result<Box<dyn TrainingEngine>, EngineError> {
    Ok(match dtype {
        Dtype::F32 => Box::new(CpuTrainer::<f32>::new(shape, weights, training, threads)?),
        Dtype::Bf16 => Box::new(CpuTrainer::<Bf16Pair>::new(shape, weights, training, threads)?),
    })
}

/// What training on `batches` takes at most.
pub fn training_memory<'a>(
    shape: &ModelShape,
    training: &Training,
    dtype: Dtype,
    threads: usize,
    batches: impl Iterator<Item = &'a [Sequence]>,
) -> MemoryEstimate {
    match dtype {
        Dtype::F32 => memory::training::<f32>(shape, training, threads, batches),
        Dtype::Bf16 => memory::training::<Bf16Pair>(shape, training, threads, batches),
    }
}

/// A decoder with `slots` empty slots.
///
/// # Errors
/// As [`trainer`].
pub fn decoder(
    shape: &ModelShape,
    weights: impl WeightSource,
    slots: usize,
    dtype: Dtype,
    threads: usize,
) -> Result<Box<dyn DecodingEngine>, EngineError> {
    Ok(match dtype {
        Dtype::F32 => Box::new(CpuDecoder::<f32>::new(shape, weights, slots, threads)?),
        Dtype::Bf16 => Box::new(CpuDecoder::<Bf16Pair>::new(shape, weights, slots, threads)?),
    })
}

/// What decoding takes at most with `slots` slots, for prompts of at most `prompt` tokens.
pub fn decoding_memory(shape: &ModelShape, dtype: Dtype, slots: usize, prompt: usize, threads: usize) -> MemoryEstimate {
    match dtype {
        Dtype::F32 => memory::decoding::<f32>(shape, slots, prompt, threads),
        Dtype::Bf16 => memory::decoding::<Bf16Pair>(shape, slots, prompt, threads),
    }
}

/// How many sequences of a whole context to decode at once. No result depends on it.
pub fn recommended_slots(shape: &ModelShape, dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 => decoder::slots::<f32>(shape),
        Dtype::Bf16 => decoder::slots::<Bf16Pair>(shape),
    }
}

/// The instructions that this processor's kernels run with, as they stand in records: `amx`, `avx512bf16`, `avx512`, `avx2`, `plain`, and `neon` on
/// processors of ARM.
pub fn instructions() -> String {
    if cfg!(target_arch = "aarch64") {
        // What every compiler of theirs uses.
        "neon".to_owned()
    } else {
        kernel::Instructions::best().to_string()
    }
}

/// Threads of an engine's own (0 counts as 1).
fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let threads = threads.max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| EngineError::Threads { threads, source })
}

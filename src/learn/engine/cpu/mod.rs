//! Our own engine: f32 or bf16 on the processor, with a hand-written backward pass.
//!
//! `docs/engine.md` describes the memory layout, the kernels and the measurements. In short: parameters are flat ([`layout`]) and packed
//! for products once per step ([`parameters`]); a batch is cut into micro-batches of whole sequences, which the threads process
//! ([`micro_batch`], [`forward`], [`backward`]); the weights' gradients are summed matrix by matrix ([`gradient`]); all loops over floats
//! are in [`kernel`].

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
mod head_norm;
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

/// A trainer that starts from `weights` and has taken no step.
///
/// # Errors
/// When a weight is missing or has the wrong shape, or the threads cannot be started.
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

/// An upper bound on the memory of training on `batches`.
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

/// An upper bound on the memory of decoding with `slots` slots and prompts of at most `prompt` tokens.
pub fn decoding_memory(shape: &ModelShape, dtype: Dtype, slots: usize, prompt: usize, threads: usize) -> MemoryEstimate {
    match dtype {
        Dtype::F32 => memory::decoding::<f32>(shape, slots, prompt, threads),
        Dtype::Bf16 => memory::decoding::<Bf16Pair>(shape, slots, prompt, threads),
    }
}

/// An upper bound on the memory of scoring with `slots` slots and at most `tokens` tokens in a call.
pub fn scoring_memory(shape: &ModelShape, dtype: Dtype, slots: usize, tokens: usize, threads: usize) -> MemoryEstimate {
    match dtype {
        Dtype::F32 => memory::scoring::<f32>(shape, slots, tokens, threads),
        Dtype::Bf16 => memory::scoring::<Bf16Pair>(shape, slots, tokens, threads),
    }
}

/// The fastest number of sequences, each as long as the context, to decode at once. No result depends on it.
pub fn recommended_slots(shape: &ModelShape, dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 => decoder::slots::<f32>(shape),
        Dtype::Bf16 => decoder::slots::<Bf16Pair>(shape),
    }
}

/// The instruction set of the kernels on this processor, as it is written to records: `amx`, `avx512bf16`, `avx512`, `avx2`, `plain`, or
/// `neon` on ARM.
pub fn instructions() -> String {
    if cfg!(target_arch = "aarch64") {
        // Every compiler for AArch64 uses it.
        "neon".to_owned()
    } else {
        kernel::Instructions::best().to_string()
    }
}

/// A thread pool for one engine (0 counts as 1).
fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let threads = threads.max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| EngineError::Threads { threads, source })
}

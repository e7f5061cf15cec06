//! The engine of our own: f32 on the processor, with a hand-written backward pass.
//!
//! `docs/engine.md` has the memory layout, the kernels and the measurements. In short: flat parameters ([`layout`]), packed for the
//! products once a step ([`parameters`]); a batch cut into spans of whole sequences that the threads take ([`span`], [`forward`],
//! [`backward`]); the weights' gradients added up matrix by matrix ([`gradient`]); all loops over floats in [`kernel`].

mod adapter;
mod attention;
mod backward;
mod cache;
mod decoder;
mod floats;
mod forward;
mod gradient;
mod head;
mod kernel;
mod lane;
mod layout;
mod memory;
mod operand;
mod parameters;
mod span;
mod team;
mod trained;
mod trainer;

#[cfg(test)]
mod tests;

use super::{Decode, Dtype, EngineError, Need, Sequence, Train, Training};
use crate::model::{Shape, Take, Weights};
use decoder::Decoder;
use kernel::number::Pair;
use trainer::Trainer;

/// A trainer that starts from `weights` with an empty memory.
///
/// # Errors
/// When a weight is missing or has another shape, or the threads cannot be started.
pub fn trainer(shape: &Shape, weights: Weights, training: Training, dtype: Dtype, threads: usize) -> Result<Box<dyn Train>, EngineError> {
    Ok(match dtype {
        Dtype::F32 => Box::new(Trainer::<f32>::new(shape, weights, training, threads)?),
        Dtype::Bf16 => Box::new(Trainer::<Pair>::new(shape, weights, training, threads)?),
    })
}

/// What training on `batches` takes at most.
pub fn memory<'a>(shape: &Shape, training: &Training, dtype: Dtype, threads: usize, batches: impl Iterator<Item = &'a [Sequence]>) -> Need {
    match dtype {
        Dtype::F32 => memory::training::<f32>(shape, training, threads, batches),
        Dtype::Bf16 => memory::training::<Pair>(shape, training, threads, batches),
    }
}

/// A decoder with `slots` empty slots.
///
/// # Errors
/// As [`trainer`].
pub fn decoder(shape: &Shape, weights: impl Take, slots: usize, dtype: Dtype, threads: usize) -> Result<Box<dyn Decode>, EngineError> {
    Ok(match dtype {
        Dtype::F32 => Box::new(Decoder::<f32>::new(shape, weights, slots, threads)?),
        Dtype::Bf16 => Box::new(Decoder::<Pair>::new(shape, weights, slots, threads)?),
    })
}

/// What decoding takes at most with `slots` slots, for prompts of at most `prompt` tokens.
pub fn decoding(shape: &Shape, dtype: Dtype, slots: usize, prompt: usize, threads: usize) -> Need {
    match dtype {
        Dtype::F32 => memory::decoding::<f32>(shape, slots, prompt, threads),
        Dtype::Bf16 => memory::decoding::<Pair>(shape, slots, prompt, threads),
    }
}

/// How many sequences of a whole context to decode at once. No result depends on it.
pub fn slots(shape: &Shape, dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 => decoder::slots::<f32>(shape),
        Dtype::Bf16 => decoder::slots::<Pair>(shape),
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

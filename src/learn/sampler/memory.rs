//! Checks before sampling starts that it fits into memory.

use super::{SampleError, Sampling, SamplingRun};
use crate::engine::{self, Bytes, Dtype, MemoryEstimate};
use crate::model::ModelShape;

/// The number of slots, at most `slots`, that fit into memory; `prompt` is the longest prompt, in tokens.
///
/// # Errors
/// When not even one fits.
pub(super) fn slots_that_fit(
    sampling: &Sampling,
    shape: &ModelShape,
    slots: usize,
    prompt: usize,
    run: &SamplingRun<'_>,
) -> Result<usize, SampleError> {
    let need = |dtype, slots| {
        let need = engine::decoding_memory(sampling.engine, dtype, shape, slots, prompt, run.threads)?;
        let weights = need.weights + engine::PROGRAM_MEMORY;
        Some(MemoryEstimate { weights, ..need })
    };
    let available = run.memory.and_then(|bytes| usize::try_from(bytes).ok());
    let (Some(available), Some(one)) = (available, need(sampling.dtype, 1)) else {
        return Ok(slots);
    };
    let fits = |slots: &usize| need(sampling.dtype, *slots).is_some_and(|need| need.total() <= available);
    if let Some(slots) = (1..=slots).rev().find(fits) {
        return Ok(slots);
    }
    let less = need(Dtype::Bf16, 1).filter(|less| less.total() < one.total());
    Err(SampleError::Memory {
        needed: Bytes(one.total()),
        weights: Bytes(one.weights),
        cache: Bytes(one.activations),
        available: Bytes(available),
        advice: less.map_or(String::new(), |less| format!(" (with `dtype = \"bf16\"` {})", Bytes(less.total()))),
    })
}

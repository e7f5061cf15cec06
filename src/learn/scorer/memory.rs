//! Checks before scoring starts that it fits into memory.

use super::{ScoreError, Scoring, ScoringRun, TOKENS_PER_CALL};
use crate::engine::{self, Bytes, Dtype, MemoryEstimate};
use crate::model::ModelShape;

/// The number of slots, at most `slots`, that fit into memory.
///
/// # Errors
/// When not even one fits.
pub(super) fn slots_that_fit(scoring: Scoring, shape: &ModelShape, slots: usize, run: &ScoringRun<'_>) -> Result<usize, ScoreError> {
    let need = |dtype, slots| {
        let need = engine::scoring_memory(scoring.engine, dtype, shape, slots, TOKENS_PER_CALL, run.threads)?;
        let weights = need.weights + engine::PROGRAM_MEMORY;
        Some(MemoryEstimate { weights, ..need })
    };
    let available = run.memory.and_then(|bytes| usize::try_from(bytes).ok());
    let (Some(available), Some(one)) = (available, need(scoring.dtype, 1)) else {
        return Ok(slots);
    };
    let fits = |slots: &usize| need(scoring.dtype, *slots).is_some_and(|need| need.total() <= available);
    if let Some(slots) = (1..=slots).rev().find(fits) {
        return Ok(slots);
    }
    let less = need(Dtype::Bf16, 1).filter(|less| less.total() < one.total());
    Err(ScoreError::Memory {
        needed: Bytes(one.total()),
        weights: Bytes(one.weights),
        cache: Bytes(one.activations),
        available: Bytes(available),
        advice: less.map_or(String::new(), |less| format!(" (with `dtype = \"bf16\"` {})", Bytes(less.total()))),
    })
}

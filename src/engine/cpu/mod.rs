//! The engine of our own: f32 on the processor, with a hand-written backward pass.
//!
//! `docs/engine.md` has the memory layout, the kernels and the measurements. In short: flat parameters ([`layout`]), packed for the
//! products once a step ([`parameters`]); a batch cut into spans of whole sequences that the threads take ([`span`], [`forward`],
//! [`backward`]); the weights' gradients added up matrix by matrix ([`gradient`]); all loops over floats in [`kernel`].

mod attention;
mod backward;
mod cache;
mod decoder;
mod forward;
mod gradient;
mod kernel;
mod lane;
mod layout;
mod parameters;
mod span;
mod trainer;

#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use trainer::Trainer;

use super::EngineError;

/// The instruction set this processor's kernels run with, as it stands in records: `avx512`, `avx2` or `plain`.
pub fn instructions() -> String {
    kernel::Instructions::best().to_string()
}

/// Threads of an engine's own (0 counts as 1).
fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let threads = threads.max(1);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|source| EngineError::Threads { threads, source })
}

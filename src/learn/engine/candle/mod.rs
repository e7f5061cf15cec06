//! The reference engine: candle operations that carry gradients, on any candle device.
//!
//! On the CPU, candle's fused operations (`softmax_last_dim`, `rms_norm`, `rope`, flash attention, …) silently have no gradient. Training
//! does not use them, and a test compares every parameter's gradient with finite differences.
//!
//! On the CPU, products are split among threads by rows and columns of their result, never along the sum, so the number of threads
//! changes no bit. Each engine has its own thread pool.

mod adamw;
mod attention;
mod cache;
mod decoder;
mod layers;
mod loss;
mod network;
mod trainer;

#[cfg(test)]
mod tests;

pub use decoder::{CandleDecoder, RECOMMENDED_SLOTS};
pub use trainer::CandleTrainer;

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::{EngineError, NamedTensor, check};
use crate::model::{Array, ModelShape, WeightSource};

/// The tensors of the decoder of `shape` by name, on `device`. Other tensors in `weights` are ignored.
fn tensors(shape: &ModelShape, mut weights: impl WeightSource, device: &Device) -> Result<BTreeMap<String, Tensor>, EngineError> {
    let parameters = shape.parameters().into_iter();
    parameters
        .map(|(name, expected)| {
            let array = weights.take(&name)?.ok_or_else(|| EngineError::Missing(name.clone()))?;
            let tensor = tensor(&array, &name, &expected, device)?;
            Ok((name, tensor))
        })
        .collect()
}

fn tensor(array: &Array, name: &str, expected: &[usize], device: &Device) -> Result<Tensor, EngineError> {
    check::tensor(name, expected, array)?;
    Ok(Tensor::from_slice(&array.data, expected, device)?)
}

/// The numbers of `tensors`, copied from the device.
fn named<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) -> Result<Vec<NamedTensor<'a>>, EngineError> {
    let tensors = tensors.into_iter();
    tensors
        .map(|(name, tensor)| {
            Ok(NamedTensor {
                name: Cow::Borrowed(name),
                shape: Cow::Borrowed(tensor.dims()),
                data: Cow::Owned(tensor.flatten_all()?.to_vec1()?),
            })
        })
        .collect()
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
    builder.build().map_err(|source| EngineError::Threads { threads, source })
}

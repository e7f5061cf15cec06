//! The reference engine: candle operations that carry gradients, on any candle device.
//!
//! candle's fused operations (`softmax_last_dim`, `rms_norm`, `rope`, flash attention, …) give no gradient and no error on the CPU;
//! what is trained here is written without them, and a test holds every parameter's gradient against finite differences.
//!
//! On the CPU, products are split among threads by rows and columns of their result, never along the sum, so the number of threads
//! does not change a bit. Each engine has a thread pool of its own.

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

pub use decoder::{Decoder, SLOTS};
pub use trainer::Trainer;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::EngineError;
use crate::model::{Array, Shape, Weights};

/// The tensors of the decoder of `shape`, by name, on `device`; others in `weights` are left out.
fn tensors(shape: &Shape, weights: &Weights, device: &Device) -> Result<BTreeMap<String, Tensor>, EngineError> {
    let parameters = shape.parameters().into_iter();
    parameters
        .map(|(name, expected)| {
            let tensor = tensor(weights, &name, &expected, device)?;
            Ok((name, tensor))
        })
        .collect()
}

fn tensor(weights: &Weights, name: &str, expected: &[usize], device: &Device) -> Result<Tensor, EngineError> {
    let array = weights.get(name).ok_or_else(|| EngineError::Missing(name.to_owned()))?;
    if array.shape != expected {
        return Err(EngineError::Tensor {
            name: name.to_owned(),
            expected: expected.to_vec(),
            found: array.shape.clone(),
        });
    }
    Ok(Tensor::from_slice(&array.data, expected, device)?)
}

/// The numbers of `tensors`.
fn arrays<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>) -> Result<Weights, EngineError> {
    let tensors = tensors.into_iter();
    tensors
        .map(|(name, tensor)| {
            let array = Array {
                shape: tensor.dims().to_vec(),
                data: tensor.flatten_all()?.to_vec1()?,
            };
            Ok((name.clone(), array))
        })
        .collect()
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1));
    builder.build().map_err(|source| EngineError::Threads { threads, source })
}

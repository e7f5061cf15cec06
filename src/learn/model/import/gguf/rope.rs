//! Scaled rotary positions in GGUF files. They are stored as the divisor of each pair's frequency, not as Llama 3's settings.

use std::fs::File;

use safetensors::tensor::Dtype;

use super::check_tensor;
use super::header::GgufHeader;
use crate::model::import::tensor::{Encoding, SourceTensor};
use crate::model::{Llama3Scaling, ModelError, ModelShape, RopeScaling};

/// The tensor of the divisors. [head / 2]
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The allowed relative difference between a divisor and its value for the settings, since files are computed in f32.
const DIVISOR_TOLERANCE: f64 = 1e-4;

/// The settings of Meta's models, which differ only in the factor.
fn llama3(factor: f64) -> Llama3Scaling {
    Llama3Scaling {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    }
}

/// The settings that give the divisors of a file; `None` if it has none, or all are 1.
pub(super) fn scaling(header: &GgufHeader, shape: &ModelShape, file: &File) -> Result<Option<RopeScaling>, ModelError> {
    let Some(placed) = header.tensors.get(ROPE_FACTORS) else {
        return Ok(None);
    };
    let expected = vec![shape.head_dim / 2];
    let encoding = check_tensor(header, ROPE_FACTORS, &expected, placed)?;
    let wrong = |problem: String| ModelError::Place {
        path: header.path.clone(),
        name: ROPE_FACTORS.to_owned(),
        problem,
    };
    if encoding != Encoding::Plain(Dtype::F32) {
        return Err(wrong("does not contain 32-bit numbers".to_owned()));
    }
    let tensor = SourceTensor {
        name: ROPE_FACTORS.to_owned(),
        shape: expected,
        path: &header.path,
        file,
        start: placed.start,
        encoding,
        paired: None,
    };
    let factors: Vec<f64> = tensor.numbers()?.into_iter().map(f64::from).collect();
    if factors.iter().all(|factor| *factor == 1.0) {
        return Ok(None);
    }
    // The slowest pair is the last one. With the settings above its divisor is the factor.
    let scaling = llama3(factors.last().copied().unwrap_or(1.0));
    let plain = ModelShape {
        rope_scaling: None,
        ..shape.clone()
    };
    let fits = |(found, frequency): (&f64, f64)| (found / scaling.slowdown(frequency) - 1.0).abs() < DIVISOR_TOLERANCE;
    if factors.iter().zip(plain.frequencies()).all(fits) {
        return Ok(Some(RopeScaling::Llama3(scaling)));
    }
    Err(wrong(format!(
        "does not contain the divisors of Llama 3 ({scaling}), and others are not supported"
    )))
}

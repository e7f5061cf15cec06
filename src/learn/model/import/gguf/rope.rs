//! Scaled rotary positions in GGUF files: fields for linear and YaRN scaling, and for Llama 3 a tensor with the divisor of each pair's
//! frequency.

use std::fs::File;

use safetensors::tensor::Dtype;

use super::check_tensor;
use super::fields::shortest;
use super::header::GgufHeader;
use crate::model::import::tensor::{Encoding, SourceTensor};
use crate::model::{Llama3Scaling, ModelError, ModelShape, RopeScaling, Yarn};

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

/// The scaling that a file of the architecture `family` asks for.
pub(super) fn scaling(header: &GgufHeader, family: &str, shape: &ModelShape, file: &File) -> Result<Option<RopeScaling>, ModelError> {
    let (declared, stored) = (declared(header, family, shape.context)?, stored(header, shape, file)?);
    let scaling = match (declared, stored) {
        (Some(_), Some(_)) => {
            let problem = format!("scales the positions, and so does the tensor `{ROPE_FACTORS}`; only one of them is supported");
            return Err(header.wrong(&format!("{family}.rope.scaling.type"), problem));
        }
        (declared, stored) => declared.or(stored),
    };
    if let Some(scaling) = &scaling {
        scaling.check(shape.rope_theta).map_err(|error| ModelError::Architecture {
            path: header.path.clone(),
            error,
        })?;
    }
    Ok(scaling)
}

/// The scaling in the fields, as llama.cpp reads them: a factor alone is that of linear scaling, and the oldest files have it in
/// `rope.scale_linear`.
fn declared(header: &GgufHeader, family: &str, context: usize) -> Result<Option<RopeScaling>, ModelError> {
    let field = |part: &str| format!("{family}.rope.{part}");
    let number = |part: &str| Ok::<_, ModelError>(header.float(&field(part))?.map(shortest).filter(|number| *number != 0.0));
    let factor = match number("scaling.factor")? {
        Some(factor) => Some(factor),
        None => number("scale_linear")?,
    };
    let factor = factor.filter(|factor| *factor != 1.0);
    // Only DeepSeek's files have it.
    if number("scaling.yarn_log_multiplier")?.is_some() {
        return Err(header.wrong(&field("scaling.yarn_log_multiplier"), "is not supported".to_owned()));
    }
    let kind = field("scaling.type");
    let attention = number("scaling.attn_factor")?.unwrap_or(1.0);
    match header.text(&kind)?.unwrap_or("linear") {
        "none" if attention == 1.0 => Ok(None),
        "linear" if attention == 1.0 => Ok(factor.map(RopeScaling::Linear)),
        "none" | "linear" => Err(header.wrong(&field("scaling.attn_factor"), format!("is {attention}, but only 1 is supported"))),
        "yarn" => {
            let Some(factor) = factor else {
                return Err(header.wrong(&field("scaling.factor"), "is missing, or has no effect".to_owned()));
            };
            if number("scaling.yarn_ext_factor")?.is_some_and(|share| share != 1.0) {
                return Err(header.wrong(&field("scaling.yarn_ext_factor"), "is not 1, and others are not supported".to_owned()));
            }
            let more = number("scaling.yarn_attn_factor")?.unwrap_or(1.0);
            Ok(Some(RopeScaling::Yarn(Yarn {
                factor,
                fast: number("scaling.yarn_beta_fast")?.unwrap_or(Yarn::FAST),
                slow: number("scaling.yarn_beta_slow")?.unwrap_or(Yarn::SLOW),
                original_context: header.number(&field("scaling.original_context_length"))?.unwrap_or(context),
                whole_pairs: true,
                magnitude: attention * more * Yarn::usual_magnitude(factor, 1.0),
            })))
        }
        other => Err(header.wrong(&kind, format!("is `{other}` (known: none, linear, yarn)"))),
    }
}

/// The scaling whose divisors a file has; `None` if it has none, or all are 1.
fn stored(header: &GgufHeader, shape: &ModelShape, file: &File) -> Result<Option<RopeScaling>, ModelError> {
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
        added: None,
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

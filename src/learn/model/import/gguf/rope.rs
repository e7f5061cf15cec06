//! Scaled rotary positions in GGUF files: fields for linear and YaRN scaling, and for Llama 3 and LongRoPE tensors with the divisor of each
//! pair's frequency.

use std::fs::File;

use safetensors::tensor::Dtype;

use super::check_tensor;
use super::header::{GgufHeader, shortest};
use crate::model::import::tensor::{Encoding, SourceTensor};
use crate::model::{Llama3Scaling, LongRope, ModelError, ModelShape, RopeScaling, Yarn};

/// The tensor of Llama 3's divisors. [head / 2]
const ROPE_FACTORS: &str = "rope_freqs.weight";
/// The tensors of LongRoPE's divisors (Phi-3), for sequences within the context of the first training and for longer ones. [head / 2]
const SHORT_FACTORS: &str = "rope_factors_short.weight";
const LONG_FACTORS: &str = "rope_factors_long.weight";

/// Whether a tensor of this name belongs to the positions.
pub(super) fn is_known(name: &str) -> bool {
    [ROPE_FACTORS, SHORT_FACTORS, LONG_FACTORS].contains(&name)
}

/// The longest sequence for which the divisors that we use count; `None` if there is no bound.
pub(super) fn bound(header: &GgufHeader, family: &str) -> Result<Option<usize>, ModelError> {
    if !header.tensors.contains_key(SHORT_FACTORS) {
        return Ok(None);
    }
    let field = format!("{family}.rope.scaling.original_context_length");
    let missing = || header.wrong(&field, "is missing".to_owned());
    header.number(&field)?.ok_or_else(missing).map(Some)
}

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
    let (declared, stored) = (declared(header, family, shape.context)?, stored(header, family, shape, file)?);
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
    if header.tensors.contains_key(SHORT_FACTORS) {
        // Then the divisors are the scaling, and the factor only tells how they were found.
        return match header.text(&kind)?.unwrap_or("longrope") {
            "none" | "longrope" => Ok(None),
            other => Err(header.wrong(&kind, format!("is `{other}`, but the tensor `{SHORT_FACTORS}` is that of longrope"))),
        };
    }
    match header.text(&kind)?.unwrap_or("linear") {
        "none" if attention == 1.0 => Ok(None),
        "linear" if attention == 1.0 => Ok(factor.map(RopeScaling::Linear)),
        "none" | "linear" => Err(header.wrong(&field("scaling.attn_factor"), format!("is {attention}, but only 1 is supported"))),
        "yarn" => {
            let Some(factor) = factor else {
                return Err(header.wrong(&field("scaling.factor"), "is missing, or has no effect".to_owned()));
            };
            if number("scaling.yarn_ext_factor")?.is_some_and(|share| share != 1.0) {
                return Err(header.wrong(
                    &field("scaling.yarn_ext_factor"),
                    "is not 1, and others are not supported".to_owned(),
                ));
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
fn stored(header: &GgufHeader, family: &str, shape: &ModelShape, file: &File) -> Result<Option<RopeScaling>, ModelError> {
    if header.tensors.contains_key(SHORT_FACTORS) {
        let divisors = divisors(header, SHORT_FACTORS, shape.head_dim / 2, file)?;
        let is_positive = |number: &f64| number.is_finite() && *number > 0.0;
        let field = format!("{family}.rope.scaling.attn_factor");
        let magnitude = header.float(&field)?.map_or(1.0, shortest);
        if !is_positive(&magnitude) || !divisors.iter().all(is_positive) {
            return Err(header.wrong(&field, format!("and the numbers of `{SHORT_FACTORS}` must be positive")));
        }
        return Ok(Some(RopeScaling::LongRope(LongRope { divisors, magnitude })));
    }
    if header.tensors.contains_key(LONG_FACTORS) {
        let (path, name) = (header.path.clone(), SHORT_FACTORS.to_owned());
        return Err(ModelError::Missing { path, name });
    }
    if !header.tensors.contains_key(ROPE_FACTORS) {
        return Ok(None);
    }
    let factors = divisors(header, ROPE_FACTORS, shape.head_dim / 2, file)?;
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
    Err(ModelError::Place {
        path: header.path.clone(),
        name: ROPE_FACTORS.to_owned(),
        problem: format!("does not contain the divisors of Llama 3 ({scaling}), and others are not supported"),
    })
}

/// The numbers of a tensor of divisors, one for each of `pairs` pairs.
fn divisors(header: &GgufHeader, name: &str, pairs: usize, file: &File) -> Result<Vec<f64>, ModelError> {
    let Some(placed) = header.tensors.get(name) else {
        return Ok(Vec::new());
    };
    let expected = vec![pairs];
    let encoding = check_tensor(header, name, &expected, placed)?;
    if encoding != Encoding::Plain(Dtype::F32) {
        return Err(ModelError::Place {
            path: header.path.clone(),
            name: name.to_owned(),
            problem: "does not contain 32-bit numbers".to_owned(),
        });
    }
    let tensor = SourceTensor {
        name: name.to_owned(),
        shape: expected,
        path: &header.path,
        file,
        start: placed.start,
        encoding,
        paired: None,
        added: None,
    };
    Ok(tensor.numbers()?.into_iter().map(f64::from).collect())
}

//! The choice of engine, dtype and device.

use candle_core::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DecodingEngine, Dtype, EngineError, Frozen, MemoryEstimate, Sequence, Training, TrainingEngine, candle, cpu};
use crate::model::{Lora, ModelShape, WeightSource, Weights};

/// The engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Our own engine, on the processor.
    #[default]
    Cpu,
    /// The reference engine, on any candle device.
    Candle,
}

/// The numeric class of a result, which is part of the stage key: `candle f32`.
pub fn numeric_class(engine: Engine, dtype: Dtype) -> String {
    let engine = match engine {
        Engine::Cpu => "cpu",
        Engine::Candle => "candle",
    };
    let dtype = match dtype {
        Dtype::F32 => "f32",
        Dtype::Bf16 => "bf16",
    };
    format!("{engine} {dtype}")
}

/// The instruction set on which the last bits of a result depend: that of the processor, or else the kind of `device` (`cuda`).
pub fn instruction_set(device: &str) -> String {
    match device.split_once(':').map_or(device, |(sort, _)| sort) {
        "cpu" => super::instructions(),
        sort => sort.to_owned(),
    }
}

/// A trainer of the decoder of `shape` that starts from `weights`, on `device` with `threads` threads. It frees the weights as it
/// reads them.
///
/// # Errors
/// When the device is unknown, fails or is not supported by the engine, or a weight is missing or has the wrong shape.
pub fn trainer(
    engine: Engine,
    dtype: Dtype,
    device: &str,
    shape: &ModelShape,
    weights: Weights,
    training: impl Into<Training>,
    threads: usize,
) -> Result<Box<dyn TrainingEngine>, EngineError> {
    let training = training.into();
    match engine {
        Engine::Cpu => {
            on_processor(device)?;
            cpu::trainer(shape, weights, training, dtype, threads)
        }
        Engine::Candle => {
            check_dtype(engine, dtype)?;
            check_frozen(engine, &training.frozen)?;
            let device = open(device)?;
            Ok(Box::new(match &training.lora {
                None => candle::CandleTrainer::new(shape, &weights, training.optimizer, &device, threads)?,
                Some(lora) => {
                    check_lora(engine, lora)?;
                    candle::CandleTrainer::adapting(shape, &weights, (lora, training.optimizer), &device, threads)?
                }
            }))
        }
    }
}

/// A decoder of `shape` with `weights` and a cache of `slots` slots, on `device` with `threads` threads.
///
/// # Errors
/// As [`trainer`].
pub fn decoder(
    engine: Engine,
    dtype: Dtype,
    device: &str,
    shape: &ModelShape,
    weights: impl WeightSource,
    slots: usize,
    threads: usize,
) -> Result<Box<dyn DecodingEngine>, EngineError> {
    match engine {
        Engine::Cpu => {
            on_processor(device)?;
            cpu::decoder(shape, weights, slots, dtype, threads)
        }
        Engine::Candle => {
            check_dtype(engine, dtype)?;
            Ok(Box::new(candle::CandleDecoder::new(
                shape,
                weights,
                slots,
                &open(device)?,
                threads,
            )?))
        }
    }
}

/// An upper bound on the memory of training on `batches`; `None` if the engine cannot estimate it.
pub fn training_memory<'a>(
    engine: Engine,
    dtype: Dtype,
    shape: &ModelShape,
    training: &Training,
    threads: usize,
    batches: impl Iterator<Item = &'a [Sequence]>,
) -> Option<MemoryEstimate> {
    match engine {
        Engine::Cpu => Some(cpu::training_memory(shape, training, dtype, threads, batches)),
        Engine::Candle => None,
    }
}

/// An upper bound on the memory of decoding with `slots` slots and prompts of at most `prompt` tokens; `None` if the engine cannot
/// estimate it.
pub fn decoding_memory(
    engine: Engine,
    dtype: Dtype,
    shape: &ModelShape,
    slots: usize,
    prompt: usize,
    threads: usize,
) -> Option<MemoryEstimate> {
    match engine {
        Engine::Cpu => Some(cpu::decoding_memory(shape, dtype, slots, prompt, threads)),
        Engine::Candle => None,
    }
}

/// An upper bound on the memory of scoring with `slots` slots and at most `tokens` tokens in a call; `None` if the engine cannot estimate
/// it.
pub fn scoring_memory(
    engine: Engine,
    dtype: Dtype,
    shape: &ModelShape,
    slots: usize,
    tokens: usize,
    threads: usize,
) -> Option<MemoryEstimate> {
    match engine {
        Engine::Cpu => Some(cpu::scoring_memory(shape, dtype, slots, tokens, threads)),
        Engine::Candle => None,
    }
}

/// The fastest number of sequences, each as long as the context, to decode at once. No result depends on it.
pub fn recommended_slots(engine: Engine, dtype: Dtype, shape: &ModelShape) -> usize {
    match engine {
        Engine::Cpu => cpu::recommended_slots(shape, dtype),
        Engine::Candle => candle::RECOMMENDED_SLOTS,
    }
}

/// The engine is part of the stage key and the device is not, so a device must not silently select another engine.
fn on_processor(device: &str) -> Result<(), EngineError> {
    match device {
        "cpu" | "cpu:0" => Ok(()),
        other => Err(EngineError::WrongDevice(other.to_owned())),
    }
}

/// Checks that the engine supports the dtype. candle is the reference and supports only f32.
///
/// # Errors
/// When it does not.
pub fn check_dtype(engine: Engine, dtype: Dtype) -> Result<(), EngineError> {
    match (engine, dtype) {
        (Engine::Candle, Dtype::Bf16) => Err(EngineError::WrongDtype),
        (Engine::Cpu, _) | (Engine::Candle, Dtype::F32) => Ok(()),
    }
}

/// Checks that the engine can freeze these weights.
///
/// # Errors
/// When it cannot.
pub fn check_frozen(engine: Engine, frozen: &Frozen) -> Result<(), EngineError> {
    match engine {
        Engine::Candle if !frozen.is_empty() => Err(EngineError::CannotFreeze),
        Engine::Cpu | Engine::Candle => Ok(()),
    }
}

/// Checks that the engine can train such adapters.
///
/// # Errors
/// When it cannot.
pub fn check_lora(engine: Engine, lora: &Lora) -> Result<(), EngineError> {
    match engine {
        Engine::Candle if lora.dropout > 0.0 => Err(EngineError::CannotDropOut),
        Engine::Cpu | Engine::Candle => Ok(()),
    }
}

/// Opens the candle device `name`: `cpu`, `cuda:0`, `metal` (the first GPU if there is no number).
fn open(name: &str) -> Result<Device, EngineError> {
    let (family, number) = name.split_once(':').unwrap_or((name, "0"));
    let unknown = || EngineError::UnknownDevice(name.to_owned());
    let number: usize = number.parse().map_err(|_| unknown())?;
    match family {
        "cpu" if number == 0 => Ok(Device::Cpu),
        "cuda" => Ok(Device::new_cuda(number)?),
        "metal" => Ok(Device::new_metal(number)?),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_known_by_name() {
        assert!(matches!(open("cpu"), Ok(Device::Cpu)));
        for name in ["gpu", "cpu:1", "cuda:x", ""] {
            assert!(matches!(open(name), Err(EngineError::UnknownDevice(_))), "{name}");
        }
        insta::assert_snapshot!(open("gpu").unwrap_err(), @"no device `gpu` (known: cpu, cuda:N, metal:N)");
    }

    #[test]
    fn the_cpu_engine_is_not_run_elsewhere() {
        let shape = crate::model::Architecture::default().shape(5).unwrap();
        let error = decoder(Engine::Cpu, Dtype::F32, "cuda:0", &shape, Weights::new(), 1, 1)
            .err()
            .unwrap();
        insta::assert_snapshot!(error, @r#"the engine `cpu` does not support the device `cuda:0`; set `engine = "candle"` to use it"#);
    }

    #[test]
    fn the_numeric_class_names_engine_and_dtype() {
        assert_eq!(numeric_class(Engine::Cpu, Dtype::F32), "cpu f32");
        assert_eq!(numeric_class(Engine::Cpu, Dtype::Bf16), "cpu bf16");
        assert_eq!(numeric_class(Engine::Candle, Dtype::F32), "candle f32");
        assert!(check_dtype(Engine::Cpu, Dtype::Bf16).is_ok() && check_dtype(Engine::Candle, Dtype::F32).is_ok());
        insta::assert_snapshot!(check_dtype(Engine::Candle, Dtype::Bf16).unwrap_err(), @r#"the engine `candle` supports only f32; set `engine = "cpu"` for bf16"#);
    }
}

//! Which engine computes, in which numbers, on which device.

use candle_core::Device;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DecodingEngine, EngineError, Frozen, MemoryEstimate, Sequence, Training, TrainingEngine, candle, cpu};
use crate::model::{Lora, ModelShape, WeightSource, Weights};

/// The engines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Our own, on the processor.
    #[default]
    Cpu,
    /// Any device that candle knows; the reference.
    Candle,
}

/// The numbers that an engine computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Matrix products of bf16 numbers, added up in f32; weights, moments and all else in f32. Of the engine `cpu` alone.
    Bf16,
}

/// The numeric class of a result, as it enters the key: `candle f32`.
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

/// What decides the last bits of what is computed on `device`: the instructions that the engine uses on the processor, or another device's
/// sort.
pub fn instruction_set(device: &str) -> String {
    match device.split_once(':').map_or(device, |(sort, _)| sort) {
        "cpu" => super::instructions(),
        sort => sort.to_owned(),
    }
}

/// A trainer of the decoder of `shape` that starts from `weights` and gives back their memory as it goes, on `device` with `threads` threads.
///
/// # Errors
/// When the device is unknown, fails or is not for this engine, or a weight is missing or has another shape.
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

/// What training on `batches` will take at most; nothing where the engine cannot tell.
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

/// What decoding with `slots` slots will take at most, for prompts of at most `prompt` tokens; nothing where the engine cannot tell.
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

/// How many sequences of the shape's context an engine had best decode at once. No result depends on it.
pub fn recommended_slots(engine: Engine, dtype: Dtype, shape: &ModelShape) -> usize {
    match engine {
        Engine::Cpu => cpu::recommended_slots(shape, dtype),
        Engine::Candle => candle::RECOMMENDED_SLOTS,
    }
}

/// The engine is part of the key and the device is not: another device must not quietly mean another engine, nor the reverse.
fn on_processor(device: &str) -> Result<(), EngineError> {
    match device {
        "cpu" | "cpu:0" => Ok(()),
        other => Err(EngineError::WrongDevice(other.to_owned())),
    }
}

/// Whether an engine computes in such numbers: candle's is the reference, in f32.
///
/// # Errors
/// When it does not.
pub fn check_dtype(engine: Engine, dtype: Dtype) -> Result<(), EngineError> {
    match (engine, dtype) {
        (Engine::Candle, Dtype::Bf16) => Err(EngineError::WrongDtype),
        (Engine::Cpu, _) | (Engine::Candle, Dtype::F32) => Ok(()),
    }
}

/// Whether an engine can leave these weights as they are.
///
/// # Errors
/// When it cannot.
pub fn check_frozen(engine: Engine, frozen: &Frozen) -> Result<(), EngineError> {
    match engine {
        Engine::Candle if !frozen.is_empty() => Err(EngineError::CannotFreeze),
        Engine::Cpu | Engine::Candle => Ok(()),
    }
}

/// Whether an engine can train such adapters.
///
/// # Errors
/// When it cannot.
pub fn check_lora(engine: Engine, lora: &Lora) -> Result<(), EngineError> {
    match engine {
        Engine::Candle if lora.dropout > 0.0 => Err(EngineError::CannotDropOut),
        Engine::Cpu | Engine::Candle => Ok(()),
    }
}

/// The candle device called `name`: `cpu`, `cuda:0`, `metal` (a GPU without a number is the first).
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
        insta::assert_snapshot!(error, @r#"the engine `cpu` computes on the processor, not on `cuda:0`; set `engine = "candle"` to use that device"#);
    }

    #[test]
    fn the_numeric_class_names_engine_and_dtype() {
        assert_eq!(numeric_class(Engine::Cpu, Dtype::F32), "cpu f32");
        assert_eq!(numeric_class(Engine::Cpu, Dtype::Bf16), "cpu bf16");
        assert_eq!(numeric_class(Engine::Candle, Dtype::F32), "candle f32");
        assert!(check_dtype(Engine::Cpu, Dtype::Bf16).is_ok() && check_dtype(Engine::Candle, Dtype::F32).is_ok());
        insta::assert_snapshot!(check_dtype(Engine::Candle, Dtype::Bf16).unwrap_err(), @r#"the engine `candle` computes in f32 alone; set `engine = "cpu"` for bf16"#);
    }
}

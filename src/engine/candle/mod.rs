//! The reference engine: differentiable candle operations, on any candle device.

use candle_core::Device;

use super::{Batch, Decode, EngineError, Feed, Moments, Optimizer, Step, Train};
use crate::model::{Shape, Weights};

pub struct Trainer;
pub struct Decoder;

impl Trainer {
    pub fn new(_: &Shape, _: &Weights, _: Optimizer, _: &Device, _: usize) -> Result<Self, EngineError> {
        todo!()
    }
}
impl Decoder {
    pub fn new(_: &Shape, _: &Weights, _: usize, _: &Device, _: usize) -> Result<Self, EngineError> {
        todo!()
    }
}
impl Train for Trainer {
    fn step(&mut self, _: &[Batch], _: f64) -> Result<Step, EngineError> {
        todo!()
    }
    fn weights(&self) -> Result<Weights, EngineError> {
        todo!()
    }
    fn moments(&self) -> Result<Moments, EngineError> {
        todo!()
    }
    fn restore(&mut self, _: &Weights, _: &Moments) -> Result<(), EngineError> {
        todo!()
    }
}
impl Decode for Decoder {
    fn feed(&mut self, _: &[Feed<'_>]) -> Result<&[f32], EngineError> {
        todo!()
    }
}

//! Weights and moments as they are written to and read from a file: tensor by tensor, to avoid copies.

use std::borrow::Cow;

use super::EngineError;
use crate::model::{Array, Weights};

/// The three groups of tensors in a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorGroup {
    Weights,
    /// First moments: the mean gradients.
    First,
    /// Second moments: the mean squared gradients.
    Second,
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor<'a> {
    pub name: Cow<'a, str>,
    pub shape: Cow<'a, [usize]>,
    pub data: Cow<'a, [f32]>,
}

impl<'a> NamedTensor<'a> {
    pub fn borrowed(name: &'a str, shape: &'a [usize], data: &'a [f32]) -> Self {
        Self {
            name: Cow::Borrowed(name),
            shape: Cow::Borrowed(shape),
            data: Cow::Borrowed(data),
        }
    }
}

/// Reads a tensor of a checkpoint.
pub type ReadTensor<'a> = dyn FnMut(TensorGroup, &str) -> Result<Array, EngineError> + 'a;

/// Reads tensors that are in memory.
#[cfg(test)]
pub(crate) fn reader<'a>(
    weights: &'a Weights,
    moments: &'a super::Moments,
) -> impl FnMut(TensorGroup, &str) -> Result<Array, EngineError> + 'a {
    move |part, name| {
        let group = match part {
            TensorGroup::Weights => weights,
            TensorGroup::First => &moments.first,
            TensorGroup::Second => &moments.second,
        };
        group.get(name).cloned().ok_or_else(|| EngineError::Missing(name.to_owned()))
    }
}

/// Copies of the tensors by name.
pub(crate) fn arrays(tensors: Vec<NamedTensor<'_>>) -> Weights {
    let tensors = tensors.into_iter();
    tensors
        .map(|NamedTensor { name, shape, data }| {
            let array = Array {
                shape: shape.into_owned(),
                data: data.into_owned(),
            };
            (name.into_owned(), array)
        })
        .collect()
}

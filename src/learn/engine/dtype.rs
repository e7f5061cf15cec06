//! The number formats of engines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The number format of an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// Matrix products of bf16 numbers with sums in f32; weights, moments and everything else in f32. Only for the engine `cpu`.
    Bf16,
}

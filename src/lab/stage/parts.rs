//! A stage that stands for several others.

use serde_json::Value;

use super::Kind;

/// The stages that one stands for: one for each artifact at an input, and one that gets the outputs of all of these. Each has a key of its
/// own.
pub struct StageParts {
    /// The input whose artifacts each get a stage. These stages get the other inputs as they are, as far as their kind has them.
    pub over: &'static str,
    /// For each artifact, in order.
    pub each: Vec<StagePart>,
    /// Their output that the last stage gets.
    pub output: &'static str,
    /// The input of the last stage that gets them.
    pub at: &'static str,
    /// The last stage: its outputs are those of the whole.
    pub last: StagePart,
}

/// A stage, by its kind and all of its params.
pub struct StagePart {
    pub kind: &'static Kind,
    pub params: Value,
}

//! One side of a comparison.

use super::facts::StageFacts;
use lab::event::StageName;

/// The stages of an experiment, a variant or a run.
#[derive(Clone, Debug, Default)]
pub struct DiffSide {
    /// As given on the command line.
    pub name: String,
    /// In the order of the plan.
    pub stages: Vec<(StageName, StageFacts)>,
}

impl DiffSide {
    /// A side without stages.
    pub fn empty(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            stages: Vec::new(),
        }
    }
}

//! What goes along the edges of the graph while an experiment is planned, beside the content of artifacts, which is not there yet.

use std::collections::BTreeMap;

use serde_json::Value;

/// What the artifacts at a stage's inputs carry along: for data, the task that they are of. The lab passes it on and does not know what it
/// means.
#[derive(Debug, Default)]
pub struct Carried<'a>(BTreeMap<&'a str, Vec<CarriedFrom<'a>>>);

/// What one artifact at an input carries.
#[derive(Clone, Copy, Debug)]
pub struct CarriedFrom<'a> {
    /// The name of the stage that it comes from, for messages.
    pub stage: &'a str,
    pub value: Option<&'a Value>,
}

impl<'a> Carried<'a> {
    /// By input port, in the order of the references.
    pub fn new(inputs: BTreeMap<&'a str, Vec<CarriedFrom<'a>>>) -> Self {
        Self(inputs)
    }

    /// What the artifacts at an input carry, in the order of the references; empty for an input that is left out.
    pub fn at(&self, port: &str) -> &[CarriedFrom<'a>] {
        self.0.get(port).map_or(&[], Vec::as_slice)
    }

    /// What the artifacts at all inputs carry.
    pub fn all(&self) -> impl Iterator<Item = &CarriedFrom<'a>> {
        self.0.values().flatten()
    }
}

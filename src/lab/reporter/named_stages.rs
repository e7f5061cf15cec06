//! Many stages in one line.

use crate::event::StageName;
use crate::text::stages;

/// Stages to which the same thing happened, gathered until another line has to be printed.
#[derive(Debug, Default)]
pub(super) struct NamedStages {
    /// The names of the first few.
    names: Vec<String>,
    count: usize,
}

/// A line names this number of stages, and counts the others.
const NAMED_STAGES: usize = 3;

impl NamedStages {
    pub(super) fn add(&mut self, stage: &StageName) {
        if self.names.len() < NAMED_STAGES {
            self.names.push(stage.to_string());
        }
        self.count += 1;
    }

    /// Empties the named and returns its stages in one phrase; `None` when it was empty.
    pub(super) fn take(&mut self) -> Option<String> {
        let Self { names, count } = std::mem::take(self);
        match count {
            0 => None,
            _ if count > names.len() => Some(format!("{}, among them {}", stages(count), names.join(", "))),
            _ => Some(names.join(", ")),
        }
    }
}

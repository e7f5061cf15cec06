//! What is said of many stages in one line.

use crate::event::StageName;
use crate::text::stages;

/// Stages to which the same thing happened, gathered until something else is to be said.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The first few by name, all by number.
    names: Vec<String>,
    count: usize,
}

/// A line names this many stages, and counts the others.
const NAMED: usize = 3;

impl Tally {
    pub(super) fn add(&mut self, stage: &StageName) {
        if self.names.len() < NAMED {
            self.names.push(stage.to_string());
        }
        self.count += 1;
    }

    /// The stages in one phrase, and an empty tally; nothing if there are none.
    pub(super) fn take(&mut self) -> Option<String> {
        let Self { names, count } = std::mem::take(self);
        match count {
            0 => None,
            _ if count > names.len() => Some(format!("{}, among them {}", stages(count), names.join(", "))),
            _ => Some(names.join(", ")),
        }
    }
}

//! Commands that reporters suggest.

use crate::event::StageName;

/// Writes the commands that a reporter suggests to its reader. The command line implements this: the lab knows no commands.
pub trait CommandHints {
    /// The command that runs one stage alone.
    fn run_alone(&self, stage: &StageName) -> String;

    /// The command that uploads the stages that the run did not upload.
    fn finish_uploads(&self) -> String;
}

//! What is done once on this machine before stages run in an environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// A command that makes or updates an environment. The head runs it, so that workers fetch nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Preparation {
    /// The environment's name, for messages.
    pub environment: String,
    /// The program and its arguments.
    pub words: Vec<String>,
    /// The same without the network; `None` where nobody knows what does that.
    pub offline: Option<Vec<String>>,
    /// The variables of the environment itself, beside those of whoever starts the run.
    pub env: BTreeMap<String, String>,
    /// Where it runs: the folder of the project.
    pub folder: PathBuf,
}

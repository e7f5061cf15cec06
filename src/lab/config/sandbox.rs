//! The setting `sandbox`: how far the programs of stages are held to the files that they declare.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the program of a stage is held to its own files. Never part of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum SandboxMode {
    /// It writes only to its own folders, and to what the setting `writes` names.
    #[default]
    Writes,
    /// It also reads only what it declares, and the system's folders.
    Reads,
    /// It reads and writes what the user may.
    Off,
}

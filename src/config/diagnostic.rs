//! What is wrong with an experiment, and where.

use std::ops::Range;
use std::sync::Arc;

/// A text that values come from: a file, or what stands in for one (`--set`, the environment).
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// As people know it: the path as given, `--set`, `RUNNER_STORE`.
    pub name: String,
    pub text: String,
}

/// A place in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    pub source: Arc<Source>,
    /// Bytes.
    pub span: Range<usize>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// A lowercase fragment: ``no kind `trian` (known: eval, filter, …)``.
    pub message: String,
    pub at: Option<Location>,
    /// Written below the caret.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
}

//! Whoever started the run: their environment variables, and their folder for caches.

use std::path::Path;

/// What a stage may ask of whoever started the run. Nothing of it is in a key. `lab` and the kinds read no environment themselves.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The value of an environment variable; `None` where it is not set.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The folder of this machine and user in which programs keep what they would compile or download again; `None` where there is none.
    pub caches: Option<&'a Path>,
}

impl Caller<'_> {
    /// One who says nothing.
    pub const NOBODY: Caller<'static> = Caller {
        variable: &|_| None,
        caches: None,
    };

    /// The value of a variable that is not empty.
    pub fn given(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }
}

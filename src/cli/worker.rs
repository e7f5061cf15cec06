//! `runner worker`: one stage, for a runner that speaks to it through pipes. Not for people.

use std::io::{self, BufReader};

use crate::exec;
use crate::stage;

/// Runs the task on standard input; whether it ended well.
pub fn worker() -> bool {
    exec::work(stage::kinds(), BufReader::new(io::stdin()), io::stdout().lock())
}

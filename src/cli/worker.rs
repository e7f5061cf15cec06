//! `runner worker`: runs one stage for a runner, which sends the task through a pipe. Hidden, because users do not call it.

use std::io::{self, BufReader};

use lab::exec;
use learn::engine;

/// Runs the task that it reads on standard input. Returns whether that succeeded.
pub fn worker() -> bool {
    #[expect(clippy::disallowed_methods, reason = "this is where the CLI reads the environment")]
    let secret = |name: &str| std::env::var(name).ok();
    exec::work(
        kinds::kinds(),
        &engine::instruction_set("cpu"),
        secret,
        BufReader::new(io::stdin()),
        io::stdout().lock(),
    )
}

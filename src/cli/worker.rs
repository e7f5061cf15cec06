//! `runner worker`: runs one stage for a runner, which talks to it through pipes. Not for people.

use std::io::{self, BufReader};

use super::environment::with_caller;
use lab::exec;
use learn::engine;

/// Runs the work order on standard input. Returns whether the stage succeeded.
pub fn worker() -> bool {
    with_caller(|caller| {
        exec::work(
            kinds::kinds(),
            &engine::instruction_set("cpu"),
            caller,
            BufReader::new(io::stdin()),
            io::stdout(),
        )
    })
}

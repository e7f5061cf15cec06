//! Tokens a second and peak memory of our engine, beside candle's, over four shapes and a long sequence: training and greedy decoding, and the share of
//! the machine's measured f32 peak.
//!
//! `cargo bench --bench engine -- [threads] [Q|S|M|SmolLM2|long|again] [train|decode] [cpu|candle] [f32|bf16]`: arguments select what is
//! measured. Without arguments everything is measured.
//!
//! Each contestant is a separate process (this program again, see `child`), so that its peak memory can be measured. They run in turn, so
//! that other load on the machine affects all of them. `benches/peers` runs the same processes against other programs.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark is a program of its own and prints what it measured"
)]

mod case;
mod child;
mod contestant;
mod machine;
mod table;

use case::{Case, Task};
use contestant::Contestant;

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["child", task, case, engine, dtype, threads] => child::serve(task, case, engine, dtype, threads),
        ["export", case, file] => Case::named(case).map(|case| case.export(file.as_ref())),
        words => {
            compare(words);
            Ok(())
        }
    }
}

/// Measures everything that `words` select.
fn compare(words: &[&str]) {
    let chosen = |word: &str, known: &[&str]| {
        let mut given = words.iter().filter(|given| known.contains(given)).peekable();
        given.peek().is_none() || given.any(|given| *given == word)
    };
    let threads = words.iter().find_map(|word| word.parse().ok());
    let threads: Vec<usize> = threads.map_or(vec![1, 2], |threads| vec![threads]);
    let peak = machine::peak();
    println!(
        "{}; one core: {:.1} GFLOP/s of f32 fused multiply-adds in registers",
        learn::engine::cpu::instructions(),
        peak / 1e9
    );
    for case in case::all().iter().filter(|case| chosen(case.name, &case::NAMES)) {
        let tasks = Task::ALL.into_iter().filter(|task| case.has(*task));
        for task in tasks.filter(|task| chosen(task.name(), &["train", "decode"])) {
            for &threads in &threads {
                let numbers = child::known().into_iter();
                let numbers = numbers.filter(|(engine, dtype)| chosen(engine, &["cpu", "candle"]) && chosen(dtype, &["f32", "bf16"]));
                let contestants = numbers.map(|(engine, dtype)| Contestant::start(task, case, engine, dtype, threads));
                table::print(task, case, threads, peak, contestants.collect());
            }
        }
    }
}

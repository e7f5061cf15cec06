//! How long a run takes for each of many tiny stages: wall time of `runner run` on an empty store, with workers that run several stages
//! in turn, and with a process for each stage, which was the only way before.
//!
//! `cargo bench --bench small_stages` measures 1,000 stages with as many jobs as there are cores; `cargo bench --bench small_stages --
//! 10000` others.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A stage may take so long, in milliseconds.
const BUDGET: f64 = 1.0;

/// So many runs are measured; the least is reported, which others on the machine disturbed least.
const RUNS: usize = 3;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is a program of its own")]
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1000] } else { counts };
    println!(
        "{:>8}  {:>16}  {:>10}  {:>20}  {:>6}",
        "stages", "ms in turn", "of budget", "ms, a process each", "ratio"
    );
    for count in counts {
        let [shared, alone] = [false, true].map(|alone| milliseconds(count, alone));
        println!(
            "{count:>8}  {shared:>16.2}  {:>10.2}  {alone:>20.2}  {:>6.2}",
            shared / BUDGET,
            shared / alone
        );
    }
}

/// The least milliseconds for each stage. A stage with resources of its own is `alone` in its process.
fn milliseconds(count: usize, alone: bool) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let resources = if alone { "resources = \"own\"\n" } else { "" };
    let experiment = format!(
        "[resources.own]\nretries = 1\n\n[stages.problems]\nkind = \"generate\"\ntask = \"addition\"\ntrain = 10\ndevelopment = 0\n\
         in_domain = 0\nood_easy = 0\nood_hard = 0\n\n[stages.\"mixed[k]\"]\nfor.k = \"0..{count}\"\nkind = \"mix\"\n\
         full = \"problems.train\"\nseed = \"{{k}}\"\n{resources}"
    );
    fs::write(folder.path().join("many.toml"), experiment).expect("the experiment is written");
    let runs = (0..RUNS).map(|run| seconds(folder.path(), &format!("store{run}")));
    runs.fold(f64::INFINITY, f64::min) * 1e3 / count as f64
}

/// How long the run takes that fills a store.
fn seconds(folder: &Path, store: &str) -> f64 {
    let begun = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_runner"))
        .current_dir(folder)
        .args(["run", "many.toml", "--store", store])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "{status}");
    let seconds = begun.elapsed().as_secs_f64();
    fs::remove_dir_all(folder.join(store)).expect("the store is removed");
    seconds
}

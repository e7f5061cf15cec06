//! How long a run takes that has nothing to do: CPU time of `runner run` on experiments of many tiny stages that are all in the
//! store, as a share of what it may take, and beside `ninja` on the same graph where it is installed.
//!
//! `cargo bench --bench no_op` measures 1,000 stages; `cargo bench --bench no_op -- 10000` others. The first run, which fills the
//! store, starts a worker process for each stage and takes by far the longest.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of hits may take: seconds for a number of stages. Other numbers are on the line through the two.
const BUDGET: [(f64, f64); 2] = [(1_000.0, 0.05), (10_000.0, 0.3)];

/// So many runs are measured; the least is reported, which others on the machine disturbed least.
const RUNS: usize = 7;

fn main() {
    #[expect(clippy::disallowed_methods, reason = "a benchmark is a program of its own")]
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![1000] } else { counts };
    println!("{:>8}  {:>14}  {:>10}  {:>14}", "stages", "runner", "of budget", "ninja");
    for count in counts {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runner = runner(folder.path(), count);
        let ninja = ninja(folder.path(), count).map_or_else(|| "not installed".to_owned(), |seconds| format!("{seconds:.3} s"));
        let share = format!("{:.2}", runner / budget(count));
        println!("{count:>8}  {:>14}  {share:>10}  {ninja:>14}", format!("{runner:.3} s"));
    }
}

fn budget(stages: usize) -> f64 {
    let [(few, low), (many, high)] = BUDGET;
    low + (stages as f64 - few) * (high - low) / (many - few)
}

/// Fills a store, then measures runs of hits.
fn runner(folder: &Path, count: usize) -> f64 {
    let experiment = format!(
        "[stages.problems]\nkind = \"generate\"\ntask = \"addition\"\ntrain = 10\ndevelopment = 0\nin_domain = 0\nood_easy = 0\n\
         ood_hard = 0\n\n[stages.\"mixed[k]\"]\nfor.k = \"0..{count}\"\nkind = \"mix\"\nfull = \"problems.train\"\nseed = \"{{k}}\"\n"
    );
    fs::write(folder.join("many.toml"), experiment).expect("the experiment is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.current_dir(folder).args(["run", "many.toml", "--store", "store"]);
    measure(&mut command)
}

/// Builds the same graph out of copied files, then measures builds that have nothing to do.
fn ninja(folder: &Path, count: usize) -> Option<f64> {
    let is_there = Command::new("ninja")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let edges: String = (0..count).map(|k| format!("build mixed{k}: copy problems\n")).collect();
    let rules = format!("rule copy\n  command = cp $in $out\nrule touch\n  command = touch $out\nbuild problems: touch\n{edges}");
    fs::write(folder.join("build.ninja"), rules).expect("the graph is written");
    let mut command = Command::new("ninja");
    is_there.then(|| measure(command.current_dir(folder)))
}

/// Runs the command once, then takes the least CPU time of the runs after it, in seconds.
fn measure(command: &mut Command) -> f64 {
    let mut run = || {
        let before = cpu_time_of_children();
        let status = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("the program starts");
        assert!(status.success(), "{command:?}: {status}");
        cpu_time_of_children() - before
    };
    run();
    (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// User and system time of all processes waited for, in seconds.
fn cpu_time_of_children() -> f64 {
    // SAFETY: `rusage` is plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a `rusage` that lives until the call returns.
    let result = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    assert_eq!(result, 0, "the system counts CPU time");
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

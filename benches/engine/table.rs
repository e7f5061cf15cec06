//! Runs rounds in turn and prints their results.

use crate::case::{Case, Task};
use crate::child::Round;
use crate::contestant::Contestant;

/// Rounds of each contestant, after a first one of one step in which buffers grow.
const ROUNDS: usize = 5;

/// Seconds that a round takes, about; slow engines do fewer steps in it.
const SECONDS: f64 = 0.5;

/// Measures `contestants` in turn and prints a line for each, with the ratios of the first to the others.
pub fn print(task: Task, case: &Case, threads: usize, peak: f64, mut contestants: Vec<Contestant>) {
    let steps = |contestant: &mut Contestant| (SECONDS / contestant.round(1).wall).ceil() as usize;
    let steps: Vec<usize> = contestants.iter_mut().map(steps).collect();
    let mut rounds: Vec<Vec<Round>> = contestants.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((contestant, rounds), &steps) in contestants.iter_mut().zip(&mut rounds).zip(&steps) {
            rounds.push(contestant.round(steps));
        }
    }
    for (index, (contestant, own)) in contestants.iter().zip(&rounds).enumerate() {
        let rate = |seconds: fn(&Round) -> f64| own.iter().map(move |round| round.tokens as f64 / seconds(round));
        let (cpu, best) = (median(rate(|round| round.cpu)), rate(|round| round.cpu).fold(0.0, f64::max));
        let mut line = format!(
            "{:6} {:7} {threads} threads, {:6} {:4}: {cpu:8.0} tokens/s of CPU time (best {best:8.0}), {:8.0} of wall time; {:5} MB",
            task.name(),
            case.name,
            contestant.engine,
            contestant.dtype,
            median(rate(|round| round.wall)),
            own.last().map_or(0, |round| round.memory / 1024),
        );
        if task == Task::Train {
            let share = |rate: f64| 100.0 * case.operations() * steps[index] as f64 / own[0].tokens as f64 * rate / peak;
            line += &format!("; {:.0} % of the peak (best {:.0} %)", share(cpu), share(best));
        }
        if index > 0 {
            line += &ratios(&rounds[0], own);
        }
        println!("{line}");
    }
}

/// How the first contestant compares with another: medians of the rounds' ratios.
fn ratios(first: &[Round], other: &[Round]) -> String {
    let ratio = |value: fn(&Round) -> f64| median(first.iter().zip(other).map(|(first, other)| value(first) / value(other)));
    format!(
        "; the first: {:.2} times the tokens/s of CPU time, {:.2} of wall time, {:.2} of the memory",
        ratio(|round| round.tokens as f64 / round.cpu),
        ratio(|round| round.tokens as f64 / round.wall),
        ratio(|round| round.memory as f64),
    )
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

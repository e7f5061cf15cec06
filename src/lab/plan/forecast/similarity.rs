//! How much the record of one stage says of another.

use serde_json::Value;

use crate::stage::Effort;
use crate::store::Machine;

/// A stage that is to run, or that of a record: all that forecasts compare.
pub(super) struct Subject<'a> {
    /// Its name without variant.
    pub(super) name: &'a str,
    pub(super) numerics: Option<&'a str>,
    pub(super) machine: &'a Machine,
    pub(super) gpus: usize,
    pub(super) threads: usize,
    pub(super) params: &'a Value,
    pub(super) effort: Option<Effort>,
}

/// What the record of one stage says of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    /// The error to expect, as a standard deviation of the logarithm.
    pub(super) distance: f64,
    /// How many times as long the other one takes.
    pub(super) time: f64,
    /// How many times as much it writes.
    pub(super) size: f64,
}

/// The exponent of the speed in the number of threads: twice the threads are 1.8 times as fast.
const THREADS_EXPONENT: f64 = 0.85;

/// The error of scaling by effort, for each unit of the logarithm of the ratio.
const OF_EFFORT: f64 = 0.12;

/// The same of scaling by threads.
const OF_THREADS: f64 = 0.1;

/// The errors that differences bring which cannot be scaled.
const ANOTHER_NAME: f64 = 0.15;
const OTHER_PARAMS: f64 = 0.02;
const ANOTHER_PROGRAM: f64 = 0.5;
const ANOTHER_UNIT: f64 = 0.8;
const UNKNOWN_EFFORT: f64 = 0.4;
const OTHER_NUMERICS: f64 = 0.5;
const ANOTHER_HOST: f64 = 0.15;
const ANOTHER_MACHINE: f64 = 0.5;
const OTHER_GPUS: f64 = 1.0;

/// Compares the stage of a record, `from`, with another stage of the same kind. `program` is the param with the command line, for kinds that
/// have one.
pub(super) fn compare(from: &Subject<'_>, to: &Subject<'_>, program: Option<&str>) -> Comparison {
    let threads = speed(from) / speed(to);
    let (time, size, of_effort) = match (&from.effort, &to.effort) {
        (Some(from), Some(to)) if from.unit == to.unit => {
            let (time, size) = (ratio(from.work, to.work), ratio(from.size, to.size));
            (time, size, OF_EFFORT * time.ln().abs().max(size.ln().abs()))
        }
        (Some(_), Some(_)) => (1.0, 1.0, ANOTHER_UNIT),
        _ => (1.0, 1.0, UNKNOWN_EFFORT),
    };
    let when = |differs: bool, distance: f64| if differs { distance } else { 0.0 };
    let runs_another = program.is_some_and(|param| from.params.get(param) != to.params.get(param));
    let errors = [
        of_effort,
        OF_THREADS * threads.ln().abs(),
        when(base(from.name) != base(to.name), ANOTHER_NAME),
        when(from.params != to.params, OTHER_PARAMS),
        when(runs_another, ANOTHER_PROGRAM),
        when(runs_another && base(from.name) != base(to.name), ANOTHER_PROGRAM),
        when(from.numerics != to.numerics, OTHER_NUMERICS),
        when(from.gpus != to.gpus, OTHER_GPUS),
        of_machine(from.machine, to.machine),
    ];
    Comparison {
        distance: errors.iter().map(|error| error * error).sum::<f64>().sqrt(),
        time: time * threads,
        size,
    }
}

/// A name without its index: `score`, `.in_domain` of `score[3].in_domain`.
fn base(name: &str) -> (&str, &str) {
    let Some((base, rest)) = name.split_once('[') else {
        return (name, "");
    };
    (base, rest.split_once(']').map_or("", |(_, rest)| rest))
}

/// By what factor one amount exceeds another; amounts below 1 count as 1.
fn ratio(from: f64, to: f64) -> f64 {
    to.max(1.0) / from.max(1.0)
}

/// The speed that its threads give a stage which computes.
fn speed(subject: &Subject<'_>) -> f64 {
    if subject.numerics.is_some() {
        (subject.threads.max(1) as f64).powf(THREADS_EXPONENT)
    } else {
        1.0
    }
}

fn of_machine(from: &Machine, to: &Machine) -> f64 {
    let is_of_a_sort = from.cores == to.cores && from.instruction_set == to.instruction_set;
    match (is_of_a_sort, from.host == to.host) {
        (true, true) => 0.0,
        (true, false) => ANOTHER_HOST,
        (false, _) => ANOTHER_MACHINE,
    }
}

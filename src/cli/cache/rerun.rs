//! `runner cache verify --rerun N`: runs stages again, from their records, and compares their outputs with the store.

mod again;
mod stages;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::json;

use super::compare_artifacts::{Likeness, TOLERANCE};
use crate::cli::environment::path_argument;
use crate::cli::experiment::OverrideArgs;
use crate::cli::progress::ProgressLine;
use crate::cli::warning::warn;
use crate::cli::{CliError, Exit, print, print_json, program};
use again::{Again, Difference, Verdict};
use lab::event::StageName;
use lab::hash::Digest;
use lab::store::{Store, StoreEntry};
use lab::text::duration;
pub(super) use stages::ExperimentStages;

/// The most stages without a record that are named.
const MOST_NAMED: usize = 5;

/// Which stages to run again.
#[derive(Clone, Debug, clap::Args)]
pub struct RerunArgs {
    /// Instead, run N stages again (chosen at random, or with keys that start with DIGITS) and compare their outputs
    #[arg(long, value_name = "N")]
    pub rerun: Option<NonZeroUsize>,

    /// With `--rerun`: stages of this experiment, which says where the code of its programs is
    #[arg(long, value_name = "FILE", requires = "rerun", value_parser = path_argument())]
    pub experiment: Option<PathBuf>,

    #[command(flatten)]
    pub overrides: OverrideArgs,
}

impl RerunArgs {
    /// Refuses changes to an experiment that is not named.
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.experiment.is_none() && !self.overrides.is_empty() {
            let message = "`--profile` and `--set` change an experiment: name it with `--rerun N --experiment FILE`";
            return Err(CliError::Usage(message.to_owned()));
        }
        Ok(())
    }
}

/// The result of running one stage again.
struct RerunOutcome {
    key: Digest,
    name: StageName,
    seconds: f64,
    found: Result<Verdict, String>,
}

impl RerunOutcome {
    fn likeness(&self) -> Option<Likeness> {
        self.found.as_ref().ok().map(|verdict| verdict.likeness)
    }
}

/// Runs `count` stages again: a random choice of those named, or of all that can be run again.
pub(super) fn rerun(
    store: &Store,
    named: &[StoreEntry],
    stages: Option<&ExperimentStages>,
    count: usize,
    as_json: bool,
) -> Result<Exit, CliError> {
    let chosen = stages::choose(store, named, stages, count)?;
    let missing: &[String] = stages.filter(|_| named.is_empty()).map_or(&[], |stages| &stages.missing);
    missing.iter().take(MOST_NAMED).for_each(warn);
    if missing.len() > MOST_NAMED {
        warn(format!("{} more stages have no record as they are now", missing.len() - MOST_NAMED));
    }
    if chosen.without_code > 0 {
        let programs = lab::text::stages(chosen.without_code);
        let message = format!("passed over {programs} of programs: records do not say where the code is, `--experiment FILE` does");
        warn(message);
    }
    if chosen.accepted > 0 {
        let accepted = lab::text::stages(chosen.accepted);
        warn(format!(
            "passed over {accepted} with accepted outputs: they did not run as they are now"
        ));
    }
    if chosen.records.is_empty() {
        return Err(CliError::NothingSelected(
            "no stage can be run again: it must have its inputs and outputs in the store, be of a kind in this version, and read nothing from \
             outside that no experiment locates"
                .to_owned(),
        ));
    }
    let program = program::running().map_err(CliError::Program)?;
    let progress = ProgressLine::new();
    let again = Again {
        store,
        stages,
        program: &program,
        line: &progress,
    };
    let mut outcomes = Vec::new();
    for (key, record) in chosen.records {
        let name = StageName {
            name: record.stage.clone(),
            variant: record.variant.clone(),
        };
        progress.show(&format!("running {name} again, which took {}", duration(record.seconds)));
        let (found, seconds) = again.check(&key, &record)?;
        let outcome = RerunOutcome { key, name, seconds, found };
        if !as_json {
            progress.suspend(|| print(&line(&outcome)))?;
        }
        outcomes.push(outcome);
    }
    drop(progress);
    if as_json {
        let list: Vec<_> = outcomes.iter().map(as_value).collect();
        print_json(&json!({"tolerance": TOLERANCE, "stages": list}))?;
    } else {
        print(&summary(&outcomes))?;
    }
    let good = |outcome: &RerunOutcome| outcome.likeness().is_some_and(|found| found < Likeness::Different);
    Ok(if outcomes.iter().all(good) { Exit::Done } else { Exit::Store })
}

fn outcome_word(outcome: &RerunOutcome) -> &str {
    match outcome.likeness() {
        Some(Likeness::Identical) => "identical",
        Some(Likeness::Equal) => "equal within tolerance",
        Some(Likeness::Different) => "different",
        None => "failed",
    }
}

fn line(outcome: &RerunOutcome) -> String {
    let RerunOutcome { key, name, seconds, found } = outcome;
    let why = match found {
        Err(error) => format!(": {error}"),
        Ok(verdict) if verdict.differences.is_empty() => String::new(),
        Ok(verdict) => format!(": {}", differences(verdict)),
    };
    format!("{}  {}  {name}, {}{why}\n", key.short(), outcome_word(outcome), duration(*seconds))
}

/// Which outputs differ, and what the reason is.
fn differences(verdict: &Verdict) -> String {
    let one = |Difference { port, file }: &Difference| match file {
        Some(file) => format!("output `{port}` differs (first in `{}`)", file.display()),
        None => format!("output `{port}` differs"),
    };
    let differ: Vec<String> = verdict.differences.iter().map(one).collect();
    let reason = match verdict.is_deterministic {
        Some(false) => "; two runs here differ, too: the stage is not deterministic",
        Some(true) => {
            "; two runs here gave the same outputs: the record is of another machine or program, or of something that is not in the key"
        }
        None => "",
    };
    differ.join(", ") + reason
}

fn summary(outcomes: &[RerunOutcome]) -> String {
    let count = |likeness| outcomes.iter().filter(|outcome| outcome.likeness() == Some(likeness)).count();
    let failed = outcomes.iter().filter(|outcome| outcome.found.is_err()).count();
    let mut text = format!(
        "{} stages run again: {} identical, {} equal within {TOLERANCE}, {} different, {failed} failed\n",
        outcomes.len(),
        count(Likeness::Identical),
        count(Likeness::Equal),
        count(Likeness::Different),
    );
    if count(Likeness::Different) > 0 {
        text += "`runner show KEY` prints where a record was made\n";
    }
    text
}

fn as_value(outcome: &RerunOutcome) -> serde_json::Value {
    let verdict = outcome.found.as_ref().ok();
    let difference = |difference: &Difference| json!({"port": difference.port, "file": difference.file});
    let differences = verdict.map_or_else(Vec::new, |verdict| verdict.differences.iter().map(difference).collect());
    json!({
        "key": outcome.key, "stage": outcome.name.name, "variant": outcome.name.variant, "seconds": outcome.seconds,
        "outcome": outcome_word(outcome), "error": outcome.found.as_ref().err(),
        "differences": differences, "deterministic": verdict.and_then(|verdict| verdict.is_deterministic),
    })
}

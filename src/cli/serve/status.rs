//! How a run is, as the page is told it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::cli::look::text::{Memory, place, stage_line, title, waits};
use lab::event::StageName;
use lab::runs::{FoundRun, RunOutcomes, StageOutcome};
use lab::text::{Color, duration};

/// The columns of a line about the whole run.
const COLUMNS: usize = 160;

/// The most stages of a list that are told.
const MAX_TOLD: usize = 20;

/// The longest message of a failure.
const MAX_ERROR: usize = 500;

/// What the page is told of.
pub(super) struct RunView<'a> {
    /// The revision of the page.
    pub(super) page: &'a str,
    /// What is wrong with the experiment.
    pub(super) message: Option<&'a str>,
    pub(super) run: Option<&'a FoundRun>,
    pub(super) outcomes: Option<&'a RunOutcomes>,
    /// The number of each stage on the page, and whether the store has its outputs.
    pub(super) stages: &'a BTreeMap<StageName, (usize, bool)>,
    /// The command that begins a run.
    pub(super) start: String,
}

/// All that the page shows of the run.
pub(super) fn status(view: &RunView<'_>) -> Value {
    let Some(run) = view.run else {
        return json!({
            "page": view.page, "message": view.message, "title": "No run yet", "color": null,
            "place": format!("`{}` in a terminal begins one; this page shows it.", view.start), "share": null,
            "states": {}, "running": [], "waiting": [], "waits": 0, "failures": [],
        });
    };
    let counts = run.status.counts;
    let line = title(run, COLUMNS);
    let color = match line.color {
        Some(Color::Green) => "green",
        Some(Color::Red) => "red",
        Some(Color::Yellow) => "yellow",
        _ => "",
    };
    let share = (run.is_alive() && counts.stages > 0).then(|| counts.done as f64 / counts.stages as f64);
    json!({
        "page": view.page, "message": view.message, "title": line.text, "color": color,
        "place": place(run, &Memory::new(), COLUMNS).text.trim(), "share": share,
        "states": view.states(run), "running": view.running(run), "waiting": view.waiting(run),
        "waits": if run.is_alive() { waits(run) } else { 0 }, "failures": view.failures(run),
    })
}

impl RunView<'_> {
    fn id(&self, stage: &StageName) -> Option<usize> {
        self.stages.get(stage).map(|(id, _)| *id)
    }

    /// The states of the stages that the run has changed, by their numbers on the page.
    fn states(&self, run: &FoundRun) -> Value {
        let mut states = Map::new();
        let mut set = |stage: &StageName, state: &str| {
            if let Some(id) = self.id(stage) {
                states.insert(id.to_string(), state.into());
            }
        };
        let is_alive = run.is_alive();
        if is_alive {
            run.status.waiting.first.iter().for_each(|waiting| set(&waiting.stage, "waiting"));
        }
        for (stage, outcome) in self.outcomes.iter().flat_map(|outcomes| &outcomes.stages) {
            let is_there = self.stages.get(stage).is_some_and(|(_, is_there)| *is_there);
            match outcome {
                StageOutcome::Done if is_alive => set(stage, "done"),
                StageOutcome::Failed { .. } | StageOutcome::Cancelled if !is_there => set(stage, "failed"),
                StageOutcome::Retrying { .. } if is_alive => set(stage, "waiting"),
                _ => {}
            }
        }
        if is_alive {
            run.status.running.iter().for_each(|running| set(&running.stage, "running"));
        }
        states.into()
    }

    fn running(&self, run: &FoundRun) -> Vec<Value> {
        if !run.is_alive() {
            return Vec::new();
        }
        let told = |stage: &lab::runs::RunningStage| {
            let line = stage_line(stage, run, &Memory::new());
            let left = line.left.map(|left| format!("{} left", duration(left)));
            let ran = Some(format!("for {}", duration(line.ran)));
            let text: Vec<String> = left.into_iter().chain(line.more).chain(ran).collect();
            json!({"id": self.id(&stage.stage), "name": line.name, "share": line.share, "text": text.join(", ")})
        };
        run.status.running.iter().map(told).collect()
    }

    fn waiting(&self, run: &FoundRun) -> Vec<Value> {
        if !run.is_alive() {
            return Vec::new();
        }
        let is_running = |stage: &StageName| run.status.running.iter().any(|running| running.stage == *stage);
        let waiting = run.status.waiting.first.iter().filter(|waiting| !is_running(&waiting.stage));
        let told = |waiting: &lab::event::WaitingStage| json!({"id": self.id(&waiting.stage), "name": waiting.stage.to_string(), "for": waiting.awaited});
        waiting.take(MAX_TOLD).map(told).collect()
    }

    /// The stages that failed, were cancelled, or are tried again.
    fn failures(&self, run: &FoundRun) -> Vec<Value> {
        let told = |(stage, outcome): (&StageName, &StageOutcome)| {
            let (what, error) = match outcome {
                StageOutcome::Failed { cause, error } => (failed(&cause.to_string()), error.as_str()),
                StageOutcome::Retrying { cause, error, attempt, of } if run.is_alive() => (
                    format!("{}, tried again: {attempt} of {of}", failed(&cause.to_string())),
                    error.as_str(),
                ),
                StageOutcome::Cancelled => ("cancelled".to_owned(), "somebody asked for it"),
                _ => return None,
            };
            let error: String = error.chars().take(MAX_ERROR).collect();
            Some(json!({"id": self.id(stage), "name": stage.to_string(), "what": what, "error": error}))
        };
        let outcomes = self.outcomes.iter().flat_map(|outcomes| &outcomes.stages);
        outcomes.filter_map(told).take(MAX_TOLD).collect()
    }
}

/// `failed`, or `failed (exit code 3)`.
fn failed(cause: &str) -> String {
    if cause == "failed" {
        cause.to_owned()
    } else {
        format!("failed ({cause})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_run_it_is_said_how_one_begins() {
        let view = RunView {
            page: "1",
            message: None,
            run: None,
            outcomes: None,
            stages: &BTreeMap::new(),
            start: "runner run x.toml".to_owned(),
        };
        let told = status(&view);
        assert_eq!(told["title"], "No run yet");
        assert!(told["place"].as_str().unwrap().contains("`runner run x.toml`"));
    }

    #[test]
    fn a_plain_failure_has_no_cause_beside_it() {
        assert_eq!(
            (failed("failed"), failed("exit code 3")),
            ("failed".to_owned(), "failed (exit code 3)".to_owned())
        );
    }
}

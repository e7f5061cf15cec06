//! A whole report: gathers the data that a request needs, and makes the parts.

use std::borrow::Cow;

use serde_json::{Value, json};

use lab::plan::Plan;
use lab::store::{Store, StoreError};
use lab::text::{Paint, printable};

use crate::accepted::AcceptedOutputs;
use crate::contamination::contamination;
use crate::figure::{figures, metric_figures};
use crate::gather;
use crate::part_name::PartName;
use crate::parts::{ReportData, ReportPart, ReportParts};
use crate::request::ReportRequest;
use crate::scores::{KeptSkips, NoBaseline};
use crate::table::ReportTable;

/// The error of a report that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    NoBaseline(#[from] NoBaseline),
    #[error(
        "no selected stage of `{0}` gives metrics, and there is no data set yet; stages of the kinds `eval` and `measure` give them, and so \
         does a program with a line such as `outputs.scores = {{ type = \"metrics\", path = \"scores.json\" }}`"
    )]
    NothingToReport(String),
    #[error("{0}")]
    NoMetric(String),
    #[error("{}", .0.missing_message())]
    MissingPart(PartName),
}

/// Metrics that a note names.
const NAMED_METRICS: usize = 6;

/// The report on one experiment.
#[derive(Clone, Debug)]
pub struct ExperimentReport {
    pub data: ReportData,
    parts: ReportParts,
    /// The first parts of the page: those in `shows`, then the default ones.
    results: Vec<PartName>,
    printed: Vec<PartName>,
    /// Whether the printed parts are those of `--table`.
    is_requested: bool,
    /// The numbers of pictures and texts that a page would show, if none is written.
    unseen: (usize, usize),
    /// The warning of what gc deleted and the report would read.
    deleted: Option<String>,
}

impl ExperimentReport {
    /// Reads the data that the request needs from the store, and makes the parts.
    ///
    /// # Errors
    /// When the store is damaged, there is no baseline or nothing to report, or a requested part has no data.
    pub fn gather(request: &ReportRequest, plan: &Plan, store: &Store) -> Result<Self, ReportError> {
        let data = gather_data(request, plan, store)?;
        let default = data.default_parts();
        let mut parts = ReportParts::make(request.named_parts().chain(default.iter().copied()), &data)?;
        parts.tables_mut().for_each(|table| data.accepted.mark(table));
        let shows = &request.layout.shows;
        let others = default.iter().filter(|name| !shows.contains(name));
        let results: Vec<PartName> = shows.iter().chain(others).copied().collect();
        let pictures = gather::count_pictures(plan);
        if parts.select(&results).is_empty() && pictures == (0, 0) {
            if let Some(wrong) = data.metrics().warnings().first() {
                return Err(ReportError::NoMetric(wrong.clone()));
            }
            return Err(ReportError::NothingToReport(plan.dag.experiment.clone()));
        }
        if let Some(missing) = request.tables.iter().find(|name| !parts.has(**name)) {
            return Err(ReportError::MissingPart(*missing));
        }
        let mut printed = request.parts_to_print(default, data.baseline.is_some());
        if parts.select(&printed).is_empty() {
            printed.extend(default);
        }
        Ok(Self {
            data,
            parts,
            results,
            printed,
            is_requested: !request.tables.is_empty(),
            unseen: if request.page { (0, 0) } else { pictures },
            deleted: gather::warning_of_deleted(request, plan),
        })
    }

    /// The parts that the page begins with.
    pub fn results(&self) -> Vec<&ReportPart> {
        self.parts.select(&self.results)
    }

    /// The parts that are printed.
    pub fn printed(&self) -> Vec<&ReportPart> {
        self.parts.select(&self.printed)
    }

    /// The printed tables in the given format.
    pub fn tables(&self, format: fn(&ReportTable) -> String) -> String {
        let tables: Vec<String> = self.printed().into_iter().map(|part| format(&part.table())).collect();
        tables.join("\n")
    }

    /// The scores, the means over them, the kept skips, and the differences to the baseline if there is one.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn json(&self) -> Result<Value, ReportError> {
        let ReportData {
            scores, kept, baseline, ..
        } = &self.data;
        let mut json = scores.json();
        json["summary"] = self.data.summary_json();
        json["accepted"] = self.data.accepted.json();
        json["contamination"] = json!(self.data.contamination);
        json["skips"] = kept.iter().map(KeptSkips::json).collect();
        if let Some(baseline) = baseline {
            json["baseline"] = self.data.differences_json(baseline)?;
        }
        Ok(json)
    }

    /// What the layout names and the metrics do not have, and those of [`Self::doubts`].
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.data.metrics().warnings().to_vec();
        warnings.extend(self.doubts());
        warnings
    }

    /// Test questions that models were trained on, and what the report would read and gc deleted.
    pub fn doubts(&self) -> Vec<String> {
        let contamination = self.data.contamination.iter().map(ToString::to_string);
        contamination.chain(self.deleted.clone()).collect()
    }

    /// The printed tables as text. All have a title but a first one whose columns explain it. Tables wider than `width` are split.
    pub fn text(&self, width: usize, paint: Paint) -> String {
        let mut text = String::new();
        for (i, (name, part)) in self.parts.named(&self.printed).into_iter().enumerate() {
            let table = part.table();
            if i > 0 {
                text.push('\n');
            }
            match part {
                ReportPart::Figure(figure) => text += &format!("{}\n{}\n\n", table.title, figure.caption),
                ReportPart::Table(_) if i > 0 || name == PartName::Metrics => text += &format!("{}\n", table.title),
                ReportPart::Table(_) => {}
            }
            let pieces: Vec<String> = table.split(width).iter().map(|piece| piece.text(paint)).collect();
            text += &pieces.join("\n");
        }
        text
    }

    /// The lines below the tables: other parts, parts without data, and evaluations that have not run, with the command that runs them.
    pub fn notes(&self, run_command: &str) -> String {
        let is_present = |name: PartName| self.parts.has(name);
        let mut text = String::new();
        if !self.is_requested {
            let others = self
                .results
                .iter()
                .filter(|name| !self.printed.contains(name) && is_present(**name));
            text += &list_of_names("more with --table", others);
        }
        let missing = self.printed.iter().filter(|name| name.is_figure() && !is_present(**name));
        text += &list_of_names("nothing to show yet", missing);
        if let Some(unseen) = note_on_pictures(self.unseen).filter(|_| !self.is_requested) {
            text += &format!("\n{unseen}\n");
        }
        if self.printed.contains(&PartName::Metrics) {
            text += &self.note_on_hidden_metrics();
        }
        text += &self.data.accepted.note();
        if let Some(note) = self.data.scores.note() {
            text += &format!("\n{note}: {run_command}\n");
        }
        text
    }
}

/// `3 pictures and 1 text: --html FILE shows them`
fn note_on_pictures(unseen: (usize, usize)) -> Option<String> {
    let count = |count: usize, word: &str| (count > 0).then(|| format!("{count} {word}{}", if count == 1 { "" } else { "s" }));
    let counts: Vec<String> = [count(unseen.0, "picture"), count(unseen.1, "text")]
        .into_iter()
        .flatten()
        .collect();
    (!counts.is_empty()).then(|| format!("{}: `--html FILE` shows them", counts.join(" and ")))
}

impl ExperimentReport {
    /// A line on the metrics that are not shown, if there are any.
    fn note_on_hidden_metrics(&self) -> String {
        let grid = self.data.metrics();
        let hidden = grid.hidden();
        if hidden.is_empty() {
            return String::new();
        }
        // They come from programs: a line break in one must not begin a line of the report.
        let names: Vec<Cow<'_, str>> = hidden.iter().take(NAMED_METRICS).map(|name| printable(name)).collect();
        let metrics = if hidden.len() == 1 { "metric" } else { "metrics" };
        let dots = if hidden.len() > NAMED_METRICS { ", …" } else { "" };
        format!(
            "\n{} more {metrics} with --metric NAME or `[report] metrics`: {}{dots}\n",
            hidden.len(),
            names.join(", ")
        )
    }
}

/// A line with the names, if there are any.
fn list_of_names<'a>(title: &str, names: impl Iterator<Item = &'a PartName>) -> String {
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("\n{title}: {}\n", names.join(", "))
    }
}

/// Reads the data that the request needs from the store.
fn gather_data(request: &ReportRequest, plan: &Plan, store: &Store) -> Result<ReportData, StoreError> {
    let selection = &request.selection;
    let baseline = request.baseline_in(&plan.dag);
    let needs = request.needs(baseline.is_some());
    let programs = gather::programs(plan);
    // Where a metric is of one run, or is compared, its examples say how sure it is.
    let has_metrics =
        !programs.is_empty() || request.layout.is_about_metrics() || request.named_parts().any(|part| part == PartName::Metrics);
    let details = gather::ScoreDetails {
        answers: needs.answers || has_metrics,
        series: needs.curves,
    };
    let scores = gather::scores(plan, store, selection, details)?;
    // The default baseline may not be among the selected stages.
    let baseline = baseline.filter(|baseline| request.baseline.is_some() || scores.has_baseline(baseline));
    let kept = if needs.kept {
        gather::kept(plan, store, selection)?
    } else {
        Vec::new()
    };
    let stages = if needs.stages || scores.scores.is_empty() {
        gather::stages(plan, store)?
    } else {
        Vec::new()
    };
    let curves = if needs.curves {
        gather::curves(plan, store, selection)?
    } else {
        Vec::new()
    };
    let mut data = ReportData {
        scores,
        programs,
        layout: request.layout.clone(),
        baseline,
        kept,
        stages,
        figures: Vec::new(),
        accepted: AcceptedOutputs::of(plan, store)?,
        contamination: contamination(plan, store),
    };
    if needs.figures {
        data.figures = figures(&data.scores, &data.kept, &curves);
        let (scores, chosen) = data.metric_figures();
        data.figures.extend(metric_figures(&scores, &chosen));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    /// The report on the example, whose store has the metrics and answers of one evaluation.
    fn report(request: &ReportRequest) -> Result<ExperimentReport, ReportError> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let object = store.object(&example::metrics());
        std::fs::create_dir_all(&object).unwrap();
        std::fs::write(object.join("metrics.json"), r#"{"sets": [{"accuracy": 0.5}, {"accuracy": 0.25}]}"#).unwrap();
        for answers in ["answers-0.jsonl", "answers-1.jsonl"] {
            std::fs::write(object.join(answers), "").unwrap();
        }
        ExperimentReport::gather(request, &example::plan(), &store)
    }

    #[test]
    fn the_default_report_has_the_results_and_a_note_on_the_rest() {
        let report = report(&ReportRequest::default()).unwrap();
        insta::assert_snapshot!(report.text(usize::MAX, Paint::default()) + &report.notes("runner run x.toml"), @r"
        stage     n  in_domain %  steps  ood_easy %  steps
        score[0]  1         50.0      –        25.0      –

        1 of 2 stages with scores missing: runner run x.toml
        ");
        assert_eq!(report.json().unwrap()["skips"], serde_json::json!([]));
    }

    #[test]
    fn a_requested_part_without_data_is_an_error() {
        let request = ReportRequest {
            tables: vec![PartName::Training],
            ..ReportRequest::default()
        };
        let error = report(&request).unwrap_err().to_string();
        assert_eq!(error, "no selected model is in the store");
    }

    #[test]
    fn pictures_are_counted() {
        let notes = [(0, 0), (1, 0), (3, 1), (0, 2)].map(|unseen| note_on_pictures(unseen).unwrap_or_default());
        assert_eq!(
            notes,
            [
                "",
                "1 picture: `--html FILE` shows them",
                "3 pictures and 1 text: `--html FILE` shows them",
                "2 texts: `--html FILE` shows them"
            ]
        );
    }

    #[test]
    fn a_requested_baseline_must_exist() {
        let request = ReportRequest {
            baseline: "scores[0]".parse().ok(),
            ..ReportRequest::default()
        };
        let error = report(&request).unwrap_err().to_string();
        assert_eq!(error, "no evaluation `scores[0]` to compare with (known: `score[0]`)");
    }
}

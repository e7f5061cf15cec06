//! The parts of a report: tables, and figures, whose numbers can be shown as tables.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::accepted::AcceptedOutputs;
use crate::contamination::Contamination;
use crate::figure::{Figure, MetricFigures};
use crate::layout::{MetricChoice, ReportLayout};
use crate::metrics::MetricGrid;
use crate::part_name::PartName;
use crate::scores::{Baseline, KeptSkips, NoBaseline, Score, Scores, skips_table};
use crate::sizes::data_sets_table;
use crate::stage_details::StageDetails;
use crate::table::ReportTable;

/// The default tables of a report on evaluations.
const DEFAULT_TABLES: [PartName; 6] = [
    PartName::Results,
    PartName::Differences,
    PartName::Valid,
    PartName::Agreement,
    PartName::Following,
    PartName::Skips,
];
/// The same where programs have metrics too.
const WITH_PROGRAMS: [PartName; 7] = [
    PartName::Results,
    PartName::Metrics,
    PartName::Differences,
    PartName::Valid,
    PartName::Agreement,
    PartName::Following,
    PartName::Skips,
];
/// The same where `[report]` or an option chooses metrics.
const CHOSEN_METRICS: [PartName; 6] = [
    PartName::Metrics,
    PartName::Differences,
    PartName::Valid,
    PartName::Agreement,
    PartName::Following,
    PartName::Skips,
];

/// How many metrics have a figure where none are chosen.
const DEFAULT_FIGURES: usize = 4;

/// A table or a figure.
#[derive(Clone, Debug)]
pub enum ReportPart {
    Table(ReportTable),
    Figure(Figure),
}

impl ReportPart {
    /// The table, or the numbers of the figure as a table.
    pub fn table(&self) -> Cow<'_, ReportTable> {
        match self {
            Self::Table(table) => Cow::Borrowed(table),
            Self::Figure(figure) => Cow::Owned(figure.numbers()),
        }
    }
}

/// The data that the parts are made from. Fields that a report does not need are empty.
#[derive(Clone, Debug, Default)]
pub struct ReportData {
    pub scores: Scores,
    /// The nodes of those scores that programs give, and not `eval` or `measure`.
    pub programs: BTreeSet<usize>,
    pub layout: ReportLayout,
    pub baseline: Option<Baseline>,
    pub kept: Vec<KeptSkips>,
    pub stages: Vec<StageDetails>,
    pub figures: Vec<Figure>,
    pub accepted: AcceptedOutputs,
    /// Test questions that models were trained on.
    pub contamination: Vec<Contamination>,
}

impl ReportData {
    /// The parts of a report that asks for no others. Without scores these are the sizes of the data sets.
    pub fn default_parts(&self) -> &'static [PartName] {
        let is_of_program = |score: &Score| self.programs.contains(&score.place.node);
        let of_programs = self.scores.scores.iter().filter(|score| is_of_program(score)).count();
        match (self.scores.scores.len(), of_programs) {
            (0, _) => &[PartName::Data],
            (all, programs) if all == programs || self.layout.is_about_metrics() => &CHOSEN_METRICS,
            (_, 0) => &DEFAULT_TABLES,
            _ => &WITH_PROGRAMS,
        }
    }

    /// The scores of `eval` and `measure`.
    fn evaluations(&self) -> Cow<'_, Scores> {
        if self.programs.is_empty() {
            return Cow::Borrowed(&self.scores);
        }
        let mut scores = self.scores.clone();
        scores.scores.retain(|score| !self.programs.contains(&score.place.node));
        Cow::Owned(scores)
    }

    /// Whether differences are those of metrics, and not those of the task.
    fn compares_metrics(&self) -> bool {
        self.default_parts() == CHOSEN_METRICS
    }

    /// The scores of the table of metrics: where none are chosen, evaluations have tables of their own.
    fn metric_scores(&self) -> Vec<&Score> {
        let all = self.layout.is_about_metrics() || self.programs.is_empty();
        let scores = self.scores.scores.iter();
        scores.filter(|score| all || self.programs.contains(&score.place.node)).collect()
    }

    /// The table of metrics, with its rows and columns.
    pub fn metrics(&self) -> MetricGrid<'_> {
        MetricGrid::new(&self.scores, self.metric_scores(), &self.layout)
    }

    /// The scores that figures of metrics are about, and the metrics: those of the table, of which the first ones where none are chosen.
    pub fn metric_figures(&self) -> (Scores, MetricFigures) {
        let shown = self.metric_scores().into_iter();
        let shown = shown.filter(|score| self.layout.shows_stage(&score.place.stage));
        let scores = Scores {
            scores: shown.cloned().collect(),
            experiment: self.scores.experiment.clone(),
            axes: self.scores.axes.clone(),
        };
        if self.programs.is_empty() && !self.layout.is_about_metrics() {
            return (scores, MetricFigures::default());
        }
        let most = if self.layout.metrics.is_empty() {
            DEFAULT_FIGURES
        } else {
            usize::MAX
        };
        let grid = self.metrics();
        let figures = MetricFigures {
            metrics: grid.metric_columns().iter().take(most).cloned().collect(),
            axes: self.scores.axes().into_iter().map(str::to_owned).collect(),
        };
        (scores, figures)
    }

    /// The means of the metrics that are chosen, or of all that programs give, for programs.
    pub fn summary_json(&self) -> Value {
        let mut layout = self.layout.clone();
        let mut scores = self.metric_scores();
        if !layout.is_about_metrics() {
            scores.retain(|score| self.programs.contains(&score.place.node));
        }
        if layout.metrics.is_empty() {
            layout.metrics.push(MetricChoice::of("*"));
        }
        MetricGrid::new(&self.scores, scores, &layout).json()
    }

    fn differences_table(&self, baseline: &Baseline) -> Result<Option<ReportTable>, NoBaseline> {
        if self.compares_metrics() {
            return MetricGrid::differences_table(&self.scores, self.metric_scores(), &self.layout, baseline);
        }
        self.evaluations().differences_table(baseline).map(Some)
    }

    /// The differences to the baseline, for programs.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn differences_json(&self, baseline: &Baseline) -> Result<Value, NoBaseline> {
        if !self.compares_metrics() {
            return self.evaluations().differences_json(baseline);
        }
        let rows = MetricGrid::differences_json(&self.scores, self.metric_scores(), &self.layout, baseline)?;
        Ok(json!({"stage": baseline.stage, "variant": baseline.variant, "differences": rows}))
    }

    /// The table of this name or its figures; none without data for it.
    fn part(&self, name: PartName) -> Result<Vec<ReportPart>, NoBaseline> {
        let table = match name {
            PartName::Results => Some(self.evaluations().main_table()),
            PartName::Metrics => self.metrics().table(&self.layout),
            PartName::Differences => match &self.baseline {
                Some(baseline) => self.differences_table(baseline)?,
                None => None,
            },
            PartName::Valid => self.evaluations().validity(),
            PartName::Answers => self.evaluations().answers(),
            PartName::Agreement => self.evaluations().agreement(),
            PartName::Following => self.evaluations().followings(),
            PartName::Skips => skips_table(&self.kept),
            PartName::Data => data_sets_table(&self.stages),
            _ => {
                let figures = self.figures.iter().filter(|figure| figure.part == name.as_str());
                return Ok(figures.cloned().map(ReportPart::Figure).collect());
            }
        };
        let table = table.filter(|table| !table.rows.is_empty());
        Ok(table.into_iter().map(ReportPart::Table).collect())
    }
}

/// The parts of one report by name. Those without data are absent; a part of several figures is there several times.
#[derive(Clone, Debug)]
pub struct ReportParts(Vec<(PartName, ReportPart)>);

impl ReportParts {
    /// Makes each of the parts once.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn make(names: impl IntoIterator<Item = PartName>, data: &ReportData) -> Result<Self, NoBaseline> {
        let (mut known, mut made) = (Vec::new(), Vec::new());
        for name in names {
            if !known.contains(&name) {
                known.push(name);
                made.extend(data.part(name)?.into_iter().map(|part| (name, part)));
            }
        }
        Ok(Self(made))
    }

    /// The parts of these names that are present, with their names.
    pub fn named(&self, names: &[PartName]) -> Vec<(PartName, &ReportPart)> {
        let of = |name| {
            self.0
                .iter()
                .filter(move |(other, _)| *other == name)
                .map(|(name, part)| (*name, part))
        };
        names.iter().copied().flat_map(of).collect()
    }

    /// All tables.
    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut ReportTable> {
        self.0.iter_mut().filter_map(|(_, part)| match part {
            ReportPart::Table(table) => Some(table),
            ReportPart::Figure(_) => None,
        })
    }

    /// Whether there is data for the part of this name.
    pub fn has(&self, name: PartName) -> bool {
        self.0.iter().any(|(other, _)| *other == name)
    }

    /// The parts of these names that are present, in the order of the names.
    pub fn select(&self, names: &[PartName]) -> Vec<&ReportPart> {
        self.named(names).into_iter().map(|(_, part)| part).collect()
    }
}

//! A request for a report, and the data that it needs.

use lab::config::ablate::{AXIS, BASELINE};
use lab::event::StageName;
use lab::plan::{Dag, Node, Selection};
use lab::stage::{Output, PortType};

use crate::layout::ReportLayout;
use crate::part_name::PartName;
use crate::scores::Baseline;

/// The printed content of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrintedContent {
    /// Tables for people.
    #[default]
    Tables,
    /// All metrics, the kept skips and the differences, for programs.
    Json,
    /// The metrics alone, for programs.
    Csv,
}

/// A request for a report.
#[derive(Clone, Debug, Default)]
pub struct ReportRequest {
    pub selection: Selection,
    pub printed: PrintedContent,
    /// The parts to print; empty for the default.
    pub tables: Vec<PartName>,
    /// What `[report]` and the options say about tables.
    pub layout: ReportLayout,
    /// The baseline that an option asks for. It goes before that of the layout.
    pub baseline: Option<Baseline>,
    /// Whether a page is written.
    pub page: bool,
    /// Whether figures are written.
    pub plots: bool,
}

/// The data that a report needs besides the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataNeeds {
    /// The answers behind the metrics.
    pub answers: bool,
    /// The rows that filters kept, and the answers that they read.
    pub kept: bool,
    /// The stages with the sizes of their data sets.
    pub stages: bool,
    /// The training curves, and the metrics of programs by step.
    pub curves: bool,
    /// The figures, made from the rest.
    pub figures: bool,
}

impl ReportRequest {
    /// The request without `shows` where these are not printed. They are for people: the page has them, and text without `--table`.
    #[must_use]
    pub fn with_relevant_shows(mut self) -> Self {
        if !self.page && (!self.tables.is_empty() || self.printed != PrintedContent::Tables) {
            self.layout.shows.clear();
        }
        self
    }

    /// Whether files are written.
    pub fn writes_files(&self) -> bool {
        self.page || self.plots
    }

    /// Whether `--table` or `shows` name the part.
    fn names_part(&self, name: PartName) -> bool {
        self.named_parts().any(|part| part == name)
    }

    /// The parts that `--table` or `shows` name.
    pub(crate) fn named_parts(&self) -> impl Iterator<Item = PartName> {
        self.tables.iter().chain(&self.layout.shows).copied()
    }

    /// Whether only the metrics are needed.
    fn is_metrics_alone(&self) -> bool {
        self.printed == PrintedContent::Csv && !self.writes_files()
    }

    /// The data to gather for a report that has a baseline or not.
    pub fn needs(&self, has_baseline: bool) -> DataNeeds {
        let files = self.writes_files();
        DataNeeds {
            answers: has_baseline || files || self.names_part(PartName::Steps),
            kept: !self.is_metrics_alone(),
            stages: self.names_part(PartName::Data),
            curves: files || self.names_part(PartName::Training) || self.names_part(PartName::Curves),
            figures: files || self.named_parts().any(PartName::is_figure),
        }
    }

    /// Whether the report reads this output of a stage, so that it must be in the local store. Training curves are drawn for the models
    /// that happen to be there.
    pub fn reads(&self, node: &Node, output: &Output) -> bool {
        match output.port {
            PortType::Metrics => true,
            PortType::Answers => !self.is_metrics_alone(),
            PortType::Dataset => {
                let is_counted = node.kind.name == "filter" || self.writes_files() || self.names_part(PartName::Data);
                !self.is_metrics_alone() && is_counted
            }
            PortType::Figure | PortType::Text => self.page,
            PortType::Model | PortType::File => false,
        }
    }

    /// The baseline to compare with. In an experiment with `[ablate]` the default is the variant `baseline`: for each row the same stage
    /// there, and for a requested baseline its stage there.
    pub fn baseline_in(&self, dag: &Dag) -> Option<Baseline> {
        let is_change = |member: &StageName| member.variant.get(AXIS).is_some_and(|change| change != BASELINE);
        let has_ablation = dag.graph.node_weights().flat_map(|node| &node.members).any(is_change);
        let is_wanted = self.printed != PrintedContent::Csv;
        match self.baseline.as_ref().or(self.layout.baseline.as_ref().filter(|_| is_wanted)) {
            Some(baseline) if has_ablation => Some(baseline.clone().within(AXIS, BASELINE)),
            Some(baseline) => Some(baseline.clone()),
            None if has_ablation && is_wanted => Some(Baseline::same_stage_in(AXIS, BASELINE)),
            None => None,
        }
    }

    /// The parts to print: the requested ones; by default those in `shows`, with the differences if there is a baseline; without `shows`,
    /// the `default` ones.
    pub fn parts_to_print(&self, default: &[PartName], has_baseline: bool) -> Vec<PartName> {
        if !self.tables.is_empty() {
            return self.tables.clone();
        }
        if self.layout.shows.is_empty() {
            return default.to_vec();
        }
        let mut parts = self.layout.shows.clone();
        if self.layout.is_asked && !parts.contains(&PartName::Metrics) {
            parts.insert(0, PartName::Metrics);
        }
        if has_baseline && !parts.contains(&PartName::Differences) {
            parts.push(PartName::Differences);
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn showing(parts: &[PartName]) -> ReportLayout {
        ReportLayout {
            shows: parts.to_vec(),
            ..ReportLayout::default()
        }
    }

    fn needs(request: &ReportRequest) -> [bool; 5] {
        let DataNeeds {
            answers,
            kept,
            stages,
            curves,
            figures,
        } = request.needs(false);
        [answers, kept, stages, curves, figures]
    }

    #[test]
    fn only_what_is_printed_is_gathered() {
        let request = ReportRequest::default();
        assert_eq!(needs(&request), [false, true, false, false, false], "tables");
        assert!(request.needs(true).answers, "differences compare answers");
        let csv = ReportRequest {
            printed: PrintedContent::Csv,
            ..ReportRequest::default()
        };
        assert_eq!(needs(&csv), [false; 5]);
        let page = ReportRequest { page: true, ..csv };
        assert_eq!(needs(&page), [true, true, false, true, true], "files have all figures");
        let tables = |name| ReportRequest {
            tables: vec![name],
            ..ReportRequest::default()
        };
        assert_eq!(needs(&tables(PartName::Data)), [false, true, true, false, false]);
        assert_eq!(needs(&tables(PartName::Steps)), [true, true, false, false, true]);
        assert_eq!(needs(&tables(PartName::Training)), [false, true, false, true, true]);
        assert_eq!(needs(&tables(PartName::Curves)), [false, true, false, true, true]);
        assert_eq!(needs(&tables(PartName::MetricFigures)), [false, true, false, false, true]);
    }

    #[test]
    fn shows_are_for_people() {
        let request = |printed, page| ReportRequest {
            layout: showing(&[PartName::Data]),
            printed,
            page,
            ..ReportRequest::default()
        };
        let shows = |request: ReportRequest| !request.with_relevant_shows().layout.shows.is_empty();
        assert!(shows(request(PrintedContent::Tables, false)));
        assert!(!shows(request(PrintedContent::Json, false)));
        assert!(shows(request(PrintedContent::Csv, true)), "the page has them");
        let other = ReportRequest {
            tables: vec![PartName::Results],
            ..request(PrintedContent::Tables, false)
        };
        assert!(!shows(other));
    }

    #[test]
    fn requested_parts_go_first() {
        let default = [PartName::Results];
        let mut request = ReportRequest::default();
        assert_eq!(request.parts_to_print(&default, true), default);
        request.layout = showing(&[PartName::Data]);
        assert_eq!(request.parts_to_print(&default, false), [PartName::Data]);
        assert_eq!(request.parts_to_print(&default, true), [PartName::Data, PartName::Differences]);
        request.tables = vec![PartName::Valid];
        assert_eq!(request.parts_to_print(&default, true), [PartName::Valid]);
    }

    #[test]
    fn outputs_that_are_read_must_be_here() {
        let dag = example::plan().dag;
        let reads = |request: &ReportRequest, stage: &str| {
            let mut nodes = dag.graph.node_weights().filter(|node| node.name.name == stage);
            let node = nodes.next().unwrap();
            node.outputs.iter().any(|output| request.reads(node, output))
        };
        let request = ReportRequest::default();
        assert_eq!(
            ["score[0]", "problems", "standard[0]"].map(|stage| reads(&request, stage)),
            [true, false, false]
        );
        let page = ReportRequest { page: true, ..request };
        assert_eq!(
            ["score[0]", "problems", "standard[0]"].map(|stage| reads(&page, stage)),
            [true, true, false]
        );
    }

    #[test]
    fn without_an_ablation_the_baseline_is_the_requested_one() {
        let dag = example::plan().dag;
        assert_eq!(ReportRequest::default().baseline_in(&dag), None);
        let baseline: Option<Baseline> = "score[0]".parse().ok();
        let request = ReportRequest {
            baseline: baseline.clone(),
            ..ReportRequest::default()
        };
        assert_eq!(request.baseline_in(&dag), baseline);
    }
}

//! What a report shows and how: `[report]` of the experiment, and the options of `runner report`, which go before it.

mod better;
mod options;
mod read;

pub use better::Better;
pub use options::{LayoutError, LayoutOptions};

use lab::plan::{matches, wildcard};

use crate::part_name::PartName;
use crate::scores::Baseline;

/// The layout of a report. Everything but `shows` and `baseline` is about tables of metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportLayout {
    /// The parts that the report begins with.
    pub shows: Vec<PartName>,
    /// The metrics to show, in this order; empty for the default.
    pub metrics: Vec<MetricChoice>,
    /// Patterns of the stages whose metrics are shown; empty for all.
    pub stages: Vec<String>,
    /// What separates rows; `None` for the default.
    pub rows: Option<Vec<Dimension>>,
    /// What separates columns of one metric.
    pub columns: Vec<Dimension>,
    /// The order of the rows; `None` for that of the file.
    pub order: Option<RowOrder>,
    /// The number of rows to show, the best first; `None` for all.
    pub best: Option<BestRows>,
    /// The evaluation that others are compared with.
    pub baseline: Option<Baseline>,
    /// Decimals of all metrics that have none of their own; `None` for as many as the deviations allow.
    pub digits: Option<usize>,
    /// Whether means have a 95 % interval in place of the deviation.
    pub interval: bool,
    /// Whether an option asks for the table of metrics.
    pub is_asked: bool,
}

impl ReportLayout {
    /// Whether the metrics of this stage are shown.
    pub fn shows_stage(&self, stage: &str) -> bool {
        self.stages.is_empty() || self.stages.iter().any(|pattern| matches(pattern, stage))
    }

    /// Whether something in it is about the table of metrics, which then is one of the usual tables.
    pub fn is_about_metrics(&self) -> bool {
        let names = self.rows.is_some() || self.order.is_some() || self.best.is_some() || self.digits.is_some();
        self.is_asked || names || self.interval || !(self.metrics.is_empty() && self.columns.is_empty() && self.stages.is_empty())
    }
}

/// Some metrics, and how they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricChoice {
    /// The name of a metric, perhaps after that of its stage or data set; `*` stands for any text.
    pub pattern: String,
    /// `None`: guessed from the name.
    pub better: Option<Better>,
    /// Decimals; `None` for as many as the deviations allow.
    pub digits: Option<usize>,
    /// The heading, where the pattern fits one metric.
    pub title: Option<String>,
    /// Whether the metric is a share that is shown in per cent.
    pub percent: bool,
    /// Where it is written: `experiments/x.toml:12`, `--metric`.
    pub place: String,
}

/// What tells scores apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// An axis of the matrix.
    Axis(String),
    /// The stage that gives the metrics.
    Stage,
    /// The data set that they were measured on.
    Data,
}

/// An order of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowOrder {
    /// The name of a dimension, or a pattern of a metric.
    pub by: String,
    pub is_descending: bool,
}

/// The best rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestRows {
    pub count: usize,
    /// A pattern of a metric; `None` for the first that is shown.
    pub by: Option<String>,
}

impl MetricChoice {
    /// A metric of this name, with defaults.
    pub fn of(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            ..Self::default()
        }
    }

    /// Whether a name is among those chosen.
    pub fn fits(&self, name: &str) -> bool {
        wildcard(&self.pattern, name)
    }
}

impl Dimension {
    /// The dimension of this name: `stage`, `data` or one of the `axes`. An axis that is called `data` is `axis.data`.
    pub fn named(name: &str, axes: &[String]) -> Option<Self> {
        match name {
            "stage" => Some(Self::Stage),
            "data" => Some(Self::Data),
            name => {
                let axis = name.strip_prefix("axis.").unwrap_or(name);
                axes.iter().find(|known| *known == axis).cloned().map(Self::Axis)
            }
        }
    }

    /// The names of all dimensions of an experiment with these axes, as [`Dimension::named`] reads them.
    pub(super) fn names(axes: &[String]) -> Vec<String> {
        let axes = axes.iter().cloned().map(Self::Axis);
        axes.chain([Self::Stage, Self::Data]).map(|dimension| dimension.name()).collect()
    }

    /// The name that [`Dimension::named`] reads.
    pub fn name(&self) -> String {
        match self {
            Self::Stage => "stage".to_owned(),
            Self::Data => "data".to_owned(),
            Self::Axis(axis) if matches!(axis.as_str(), "stage" | "data") => format!("axis.{axis}"),
            Self::Axis(axis) => axis.clone(),
        }
    }
}

impl RowOrder {
    /// `lr`, `-test.f1`.
    pub fn named(text: &str) -> Self {
        let rest = text.strip_prefix('-');
        Self {
            by: rest.unwrap_or(text).to_owned(),
            is_descending: rest.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_told_from_a_column_of_ours() {
        let axes = ["width", "data"].map(str::to_owned);
        for (name, found) in [
            ("width", Some(Dimension::Axis("width".to_owned()))),
            ("data", Some(Dimension::Data)),
            ("axis.data", Some(Dimension::Axis("data".to_owned()))),
            ("stage", Some(Dimension::Stage)),
            ("widths", None),
        ] {
            assert_eq!(Dimension::named(name, &axes), found, "{name}");
            assert!(found.is_none_or(|found| found.name() == name));
        }
        assert_eq!(Dimension::names(&axes), ["width", "axis.data", "stage", "data"]);
    }

    #[test]
    fn a_metric_is_chosen_by_its_whole_name() {
        assert!(MetricChoice::of("results.*.acc,none").fits("results.arc.acc,none"));
        assert!(!MetricChoice::of("acc").fits("accuracy"));
    }
}

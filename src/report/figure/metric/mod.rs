//! Figures of any metric: which metrics, over which axes, and drawn how.

mod arrange;
mod axes;
mod bars;
mod curves;
mod heat;
mod lines;
mod smooth;
mod thin;
mod values;

use lab::text::clean_file_name;

use super::axis::{Axis, ends};
use super::series::point;
use super::{Divergence, Drawings, Figure, FigurePoint};
use crate::layout::Better;
use crate::metrics::MetricColumn;
use crate::scores::Scores;
use arrange::Arrangement;
use std::collections::BTreeMap;
use values::MetricValues;

pub(super) use curves::curves;

/// The part of a report that has the figures of metrics.
const PART: &str = "metric-figures";

/// Which metrics have a figure, over which axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricFigures {
    /// In the order of the figures.
    pub(crate) metrics: Vec<MetricColumn>,
    /// The axes of the matrix in their order. Axes that are missing follow; the seed is none.
    pub(crate) axes: Vec<String>,
}

/// How a metric is drawn.
impl MetricColumn {
    /// The title of its axis.
    fn axis_title(&self) -> String {
        if self.is_percent {
            format!("{}, %", self.title)
        } else {
            self.title.clone()
        }
    }

    fn unit(&self) -> &'static str {
        if self.is_percent { " %" } else { "" }
    }

    /// Whether these values are drawn on a logarithmic axis: losses that span a decade.
    fn is_log(&self, values: impl Iterator<Item = f64>) -> bool {
        is_log(&self.name, values)
    }

    /// The axis of these values.
    fn axis(&self, values: &[f64]) -> Axis {
        axis_of(&self.name, &self.axis_title(), values)
    }

    /// The end of its axis at which what diverged is marked: the worse one.
    fn worse_end(&self, axis: &Axis) -> f64 {
        if self.better == Some(Better::Higher) { axis.low } else { axis.high }
    }
}

/// Whether values of this name are drawn on a logarithmic axis.
fn is_log(name: &str, values: impl Iterator<Item = f64>) -> bool {
    let name = name.to_lowercase();
    let is_loss = ["loss", "perplexity", "ppl"].iter().any(|word| name.contains(word));
    is_loss && ends(values).is_some_and(|(low, high)| low > 0.0 && high / low > 10.0)
}

/// The axis of values of this name.
fn axis_of(name: &str, title: &str, values: &[f64]) -> Axis {
    let all = || values.iter().copied();
    if is_log(name, all()) {
        Axis::log(title, all())
    } else {
        Axis::around(title, all())
    }
}

/// The mean of `numbers`, by node, as a point. If one of them is no finite number, there is no mean.
fn metric_point(x: f64, numbers: &BTreeMap<usize, f64>, scale: f64) -> Option<FigurePoint> {
    let count = numbers.values().filter(|number| !number.is_finite()).count();
    if count == 0 {
        return point(x, numbers, scale);
    }
    Some(FigurePoint {
        x,
        y: f64::NAN,
        spread: None,
        nodes: numbers.keys().copied().collect(),
        diverged: Some(Divergence {
            count,
            of: numbers.len(),
            at: f64::NAN,
        }),
    })
}

/// A figure for each metric that has different values to compare.
pub(super) fn figures(scores: &Scores, chosen: &MetricFigures) -> Vec<Figure> {
    let mut names = FigureNames::default();
    let each = chosen.metrics.iter().filter_map(|metric| {
        let values = MetricValues::of(scores, metric, &chosen.axes);
        let (drawings, caption) = draw(&values)?;
        Some(Figure {
            part: PART,
            name: names.unique("metric-", &metric.name),
            title: metric.title.clone(),
            caption,
            drawings,
        })
    });
    each.collect()
}

/// The drawings of one metric, and their caption.
fn draw(values: &MetricValues<'_>) -> Option<(Drawings, String)> {
    let (drawings, what) = match arrange::arrange(&values.axes, &values.places())? {
        Arrangement::Lines { x, panels } => (Drawings::Panels(lines::panels(values, x, panels)), lines::CAPTION),
        Arrangement::Dots { over } => (Drawings::Panels(lines::dots(values, &over)), lines::DOTS_CAPTION),
        Arrangement::HeatMap { rows, columns } => (Drawings::HeatMaps(heat::maps(values, rows, columns)), heat::CAPTION),
        Arrangement::Bars => (Drawings::Bars(bars::charts(values)), bars::CAPTION),
    };
    let mut caption = what.to_owned();
    if matches!(&drawings, Drawings::HeatMaps(maps) if maps.iter().any(|map| map.scale.is_log)) {
        caption += " The scale of colours is logarithmic.";
    }
    if let Some(note) = bars::left_out(&drawings, values) {
        caption += &note;
    }
    if values.diverged() {
        caption += " A cross stands where a seed diverged: its value is NaN or infinite, so that there is no mean.";
    }
    // That higher is better goes without saying, and is a guess for many names.
    if values.metric.better == Some(Better::Lower) {
        caption += " Lower is better.";
    }
    Some((drawings, caption))
}

/// The names of figures, each of which is given once. Names that differ in their case alone would be one file on some systems.
#[derive(Default)]
struct FigureNames(Vec<String>);

impl FigureNames {
    /// `metric-test.f1`; the next one of the same name is `metric-test.f1-2`.
    fn unique(&mut self, prefix: &str, name: &str) -> String {
        let first = format!("{prefix}{}", clean_file_name(name, "-_.=", 80));
        let is_taken = |name: &str| self.0.iter().any(|other| other.eq_ignore_ascii_case(name));
        let (mut name, mut count) = (first.clone(), 1);
        while is_taken(&name) {
            count += 1;
            name = format!("{first}-{count}");
        }
        self.0.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_that_differ() {
        let mut names = FigureNames::default();
        let given = ["test.f1", "test/f1", "test_f1", "TEST.F1", "a b"].map(|name| names.unique("metric-", name));
        assert_eq!(
            given,
            [
                "metric-test.f1",
                "metric-test_f1",
                "metric-test_f1-2",
                "metric-TEST.F1-2",
                "metric-a_b"
            ]
        );
    }

    #[test]
    fn a_mean_with_a_seed_that_diverged_is_none() {
        let point = metric_point(1.0, &[(0, 0.5), (1, f64::NAN), (2, f64::INFINITY)].into(), 1.0).unwrap();
        let diverged = point.diverged.unwrap();
        assert!(point.y.is_nan() && point.spread.is_none());
        assert_eq!((diverged.count, diverged.of, point.nodes), (2, 3, vec![0, 1, 2]));
        assert_eq!(metric_point(1.0, &BTreeMap::new(), 1.0), None);
        assert_eq!(metric_point(1.0, &[(0, 0.5)].into(), 100.0).unwrap().y, 50.0);
    }

    #[test]
    fn losses_over_a_decade_are_logarithmic() {
        let log = |name: &str, values: &[f64]| is_log(name, values.iter().copied());
        assert!(log("eval.Loss", &[0.01, 0.5, f64::NAN]));
        assert!(!log("eval.loss", &[0.1, 0.5]) && !log("eval.loss", &[-0.1, 5.0]) && !log("accuracy", &[0.01, 0.5]));
        assert!(!log("loss", &[]));
    }
}

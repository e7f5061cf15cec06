//! The figures of a report: their data here, the drawing in `svg` and `html`.

mod axis;
mod bar_chart;
mod by_iteration;
mod by_length;
mod curves;
mod drawing;
mod heat_map;
mod histogram;
mod html;
mod kept;
mod legend;
mod metric;
mod numbers;
mod panel;
mod panel_groups;
#[cfg(feature = "png")]
mod png;
mod series;
mod style;
mod svg;
mod value;
mod words;

use crate::scores::{KeptSkips, Scores};

pub use curves::LossCurve;
pub use metric::MetricFigures;
#[cfg(feature = "png")]
pub use png::{PngError, png};

pub(crate) use html::FigureView;
pub(crate) use svg::SHAPES;

pub use bar_chart::BarChart;
pub use heat_map::HeatMap;

use axis::Axis;

/// Several drawings that show one thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The part of the report that has it: `accuracy-by-iteration`, `metric-figures`.
    pub part: &'static str,
    /// For files; no other figure has it: `accuracy-by-iteration`, `metric-test.f1`.
    pub name: String,
    pub title: String,
    /// Explains the axes, the bands and the dashed lines.
    pub caption: String,
    pub drawings: Drawings,
}

/// What a figure draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawings {
    /// Lines, marks or upright bars, which share their series.
    Panels(Vec<Panel>),
    /// Colours for the values over two axes, which share their scale.
    HeatMaps(Vec<HeatMap>),
    /// Bars that lie below their names.
    Bars(Vec<BarChart>),
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Distinguishes it from the other panels; may be empty.
    pub title: String,
    x: Axis,
    y: Axis,
    series: Vec<Series>,
}

/// Points with one name, one colour and one mark.
#[derive(Clone, Debug, PartialEq)]
struct Series {
    name: String,
    /// The name in the legend where series share an entry.
    entry: Option<String>,
    /// The colour and mark, equal in all panels of a figure.
    style: SeriesStyle,
    form: SeriesForm,
    points: Vec<FigurePoint>,
}

impl Series {
    fn at(&self, x: f64) -> Option<&FigurePoint> {
        self.points.iter().find(|point| point.x.total_cmp(&x).is_eq())
    }
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeriesForm {
    /// Marks joined by a line, with a band for the deviation.
    Marked,
    /// A line without marks, for many points.
    Line,
    /// The same, dashed, for other numbers of what a line shows.
    Dashed,
    /// Marks alone.
    Dots,
    /// A thin line behind another one, of which it has the numbers before they were smoothed.
    Faint,
    /// Bars beside those of the other series.
    Bars,
}

/// How a series looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeriesStyle {
    /// One of the colours, in their order.
    Colour(usize),
    /// A reference for others: grey and dashed.
    Reference,
    /// The full solutions: grey and dotted.
    Full,
}

impl SeriesStyle {
    /// Whether it is a reference.
    fn is_grey(self) -> bool {
        matches!(self, Self::Reference | Self::Full)
    }
}

/// A mean, and the stages that it comes from.
#[derive(Clone, Debug, Default, PartialEq)]
struct FigurePoint {
    x: f64,
    /// NaN if some seed diverged. It ends the line.
    y: f64,
    spread: Option<Spread>,
    nodes: Vec<usize>,
    diverged: Option<Divergence>,
}

/// Seeds whose number is NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Divergence {
    count: usize,
    of: usize,
    /// The height of the cross that marks it.
    at: f64,
}

/// The deviation of the seeds from their mean.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spread {
    /// The sample standard deviation.
    Deviation(f64),
    /// Around a geometric mean: e to the power of the logarithms' sample standard deviation.
    Factor(f64),
}

impl FigurePoint {
    /// The ends of the range of one deviation around the mean.
    fn ends(&self) -> Option<[f64; 2]> {
        Some(match self.spread? {
            Spread::Deviation(deviation) => [self.y - deviation, self.y + deviation],
            Spread::Factor(factor) => [self.y / factor, self.y * factor],
        })
    }

    /// The highest value that is drawn for it.
    fn top(&self) -> f64 {
        self.ends().map_or(self.y, |[_, high]| high)
    }
}

impl Figure {
    /// A figure with the panels that have data, alone in its part; `None` if no panel has.
    fn new(name: &'static str, title: &str, caption: &str, panels: Vec<Panel>) -> Option<Self> {
        let has_data = |panel: &Panel| {
            panel
                .series
                .iter()
                .any(|series| !series.points.is_empty() && !series.style.is_grey())
        };
        let panels: Vec<Panel> = panels.into_iter().filter(has_data).collect();
        (!panels.is_empty()).then(|| Self {
            part: name,
            name: name.to_owned(),
            title: title.to_owned(),
            caption: caption.to_owned(),
            drawings: Drawings::Panels(panels),
        })
    }

    /// The panels, if these are what it draws.
    fn panels(&self) -> &[Panel] {
        match &self.drawings {
            Drawings::Panels(panels) => panels,
            Drawings::HeatMaps(_) | Drawings::Bars(_) => &[],
        }
    }
}

/// All figures of the paper with data.
pub fn figures(scores: &Scores, kept: &[KeptSkips], curves: &[LossCurve]) -> Vec<Figure> {
    let figures = [
        by_iteration::accuracy(scores),
        by_iteration::steps(scores),
        by_iteration::valid(scores),
        by_length::accuracy(scores),
        by_length::steps(scores),
        histogram::steps(scores),
        kept::skips(kept),
        curves::losses(curves),
    ];
    figures.into_iter().flatten().collect()
}

/// The figures of any metric: one for each that is chosen, and one of all series of these scores.
pub fn metric_figures(scores: &Scores, chosen: &MetricFigures) -> Vec<Figure> {
    let mut figures = metric::figures(scores, chosen);
    figures.extend(metric::curves(scores, chosen));
    figures
}

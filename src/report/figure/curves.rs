//! Training curves: the loss by optimizer step.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::series::point;
use super::{Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle, Spread};
use crate::scores::{StagePlace, distinct, group_text};

/// The training curve of one model, in one variant.
#[derive(Clone, Debug)]
pub struct LossCurve {
    pub place: StagePlace,
    /// Optimizer step and loss.
    pub points: Vec<(u64, f64)>,
}

pub(super) fn losses(curves: &[LossCurve]) -> Option<Figure> {
    let keys = distinct(curves.iter().map(|curve| (curve.place.base(), curve.place.group())));
    let groups = distinct(keys.iter().map(|(_, group)| group)).len();
    let panels = keys.iter().map(|(base, group)| {
        let own: Vec<&LossCurve> = curves
            .iter()
            .filter(|curve| curve.place.base() == *base && curve.place.group() == *group)
            .collect();
        let title = if groups > 1 {
            format!("{base}, {}", group_text(group))
        } else {
            (*base).to_owned()
        };
        panel(title, &own)
    });
    Figure::new(
        "training",
        "Training curves",
        "Cross-entropy of the tokens trained on, by optimizer step; geometric means over the seeds, with a band of one standard deviation of the logarithms.",
        panels.collect(),
    )
}

fn panel(title: String, curves: &[&LossCurve]) -> Panel {
    let stages = distinct(curves.iter().map(|curve| curve.place.stage.as_str()));
    let series = stages.iter().map(|stage| {
        let own: Vec<&&LossCurve> = curves.iter().filter(|curve| curve.place.stage == *stage).collect();
        let iteration = own.first().and_then(|curve| curve.place.iteration);
        Series {
            name: (*stage).to_owned(),
            entry: None,
            // By iteration: the curves of one iteration look the same in all panels.
            style: SeriesStyle::Colour(iteration.and_then(|k| usize::try_from(k).ok()).unwrap_or(0)),
            form: SeriesForm::Line,
            points: means(&own),
        }
    });
    let series: Vec<Series> = series.collect();
    let points = || series.iter().flat_map(|series| &series.points);
    Panel {
        title,
        x: Axis::from_zero("optimizer step", points().map(|point| point.x)),
        y: Axis::log("loss", points().map(|point| point.y)),
        series,
    }
}

/// The lower limit of losses before the logarithm.
const MIN_LOSS: f64 = 1e-12;

/// The geometric mean of losses, by node, as a point.
fn geometric(x: f64, losses: &BTreeMap<usize, f64>) -> Option<FigurePoint> {
    // A loss may be rounded to 0.
    let logs = losses.iter().map(|(node, loss)| (*node, loss.max(MIN_LOSS).ln()));
    let point = point(x, &logs.collect(), 1.0)?;
    let spread = point.spread.map(|spread| match spread {
        Spread::Deviation(deviation) | Spread::Factor(deviation) => Spread::Factor(deviation.exp()),
    });
    let y = point.y.exp();
    Some(FigurePoint { y, spread, ..point })
}

/// Means over the seeds at each step.
fn means(curves: &[&&LossCurve]) -> Vec<FigurePoint> {
    let mut by_step: BTreeMap<u64, BTreeMap<usize, f64>> = BTreeMap::new();
    for curve in curves {
        for (step, loss) in &curve.points {
            by_step.entry(*step).or_default().insert(curve.place.node, *loss);
        }
    }
    by_step
        .iter()
        .filter_map(|(step, losses)| geometric(*step as f64, losses))
        .collect()
}

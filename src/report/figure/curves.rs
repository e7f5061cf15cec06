//! Training curves: the loss by optimizer step.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::series::point;
use super::{Figure, Form, Panel, Point, Series, Spread, Style};
use crate::findings::Curve;
use crate::scores::{distinct, group_text};

pub(super) fn losses(curves: &[Curve]) -> Option<Figure> {
    let keys = distinct(curves.iter().map(|curve| (curve.place.base(), curve.place.group())));
    let groups = distinct(keys.iter().map(|(_, group)| group)).len();
    let panels = keys.iter().map(|(base, group)| {
        let own: Vec<&Curve> = curves
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
    Figure::of(
        "training",
        "Training curves",
        "Cross-entropy of the tokens trained on, by optimizer step; geometric means over the seeds, with a band of one standard deviation of the logarithms.",
        panels.collect(),
    )
}

fn panel(title: String, curves: &[&Curve]) -> Panel {
    let stages = distinct(curves.iter().map(|curve| curve.place.stage.as_str()));
    let series = stages.iter().map(|stage| {
        let own: Vec<&&Curve> = curves.iter().filter(|curve| curve.place.stage == *stage).collect();
        let iteration = own.first().and_then(|curve| curve.place.iteration);
        Series {
            name: (*stage).to_owned(),
            // By iteration, so that the curves of one iteration look alike in all panels.
            style: Style::Colour(iteration.and_then(|k| usize::try_from(k).ok()).unwrap_or(0)),
            form: Form::Line,
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

/// What smaller losses are taken for.
const LEAST: f64 = 1e-12;

/// The geometric mean of losses, by source, as a point.
fn geometric(x: f64, losses: &BTreeMap<usize, f64>) -> Option<Point> {
    // A loss may be so small as to be rounded to 0.
    let logs = losses.iter().map(|(source, loss)| (*source, loss.max(LEAST).ln()));
    let Point { y, spread, sources, .. } = point(x, &logs.collect(), 1.0)?;
    let spread = spread.map(|spread| match spread {
        Spread::Deviation(deviation) | Spread::Factor(deviation) => Spread::Factor(deviation.exp()),
    });
    let y = y.exp();
    Some(Point { x, y, spread, sources })
}

/// Means over the seeds where their points have the same steps.
fn means(curves: &[&&Curve]) -> Vec<Point> {
    let mut by_step: BTreeMap<u64, BTreeMap<usize, f64>> = BTreeMap::new();
    for curve in curves {
        for (step, loss) in &curve.points {
            by_step.entry(*step).or_default().insert(curve.place.source, *loss);
        }
    }
    by_step
        .iter()
        .filter_map(|(step, losses)| geometric(*step as f64, losses))
        .collect()
}

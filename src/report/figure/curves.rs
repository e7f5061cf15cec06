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
    /// Optimizer step and held-out loss; empty without a validation set.
    pub held_out: Vec<(u64, f64)>,
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
    let dashed = if curves.iter().any(|curve| !curve.held_out.is_empty()) {
        "; dashed: of the tokens of the validation set"
    } else {
        ""
    };
    Figure::new(
        "training",
        "Training curves",
        &format!(
            "Cross-entropy of the tokens trained on, by optimizer step{dashed}; geometric means over the seeds, with a band of one standard deviation of the logarithms."
        ),
        panels.collect(),
    )
}

fn panel(title: String, curves: &[&LossCurve]) -> Panel {
    let stages = distinct(curves.iter().map(|curve| curve.place.stage.as_str()));
    let series = stages.iter().flat_map(|stage| {
        let own: Vec<&&LossCurve> = curves.iter().filter(|curve| curve.place.stage == *stage).collect();
        let iteration = own.first().and_then(|curve| curve.place.iteration);
        let trained = Series {
            name: (*stage).to_owned(),
            entry: None,
            // By iteration: the curves of one iteration look the same in all panels.
            style: SeriesStyle::Colour(iteration.and_then(|k| usize::try_from(k).ok()).unwrap_or(0)),
            form: SeriesForm::Line,
            points: means(&own, |curve| &curve.points),
        };
        let points = means(&own, |curve| &curve.held_out);
        let held_out = Series {
            name: format!("{stage}, held out"),
            // One point alone makes no line.
            form: if points.len() > 1 { SeriesForm::Dashed } else { SeriesForm::Marked },
            points,
            ..trained.clone()
        };
        [Some(trained), (!held_out.points.is_empty()).then_some(held_out)]
    });
    let series = series.flatten();
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

/// Means over the seeds of some losses at each step.
fn means(curves: &[&&LossCurve], losses: fn(&LossCurve) -> &[(u64, f64)]) -> Vec<FigurePoint> {
    let mut by_step: BTreeMap<u64, BTreeMap<usize, f64>> = BTreeMap::new();
    for curve in curves {
        for (step, loss) in losses(curve) {
            by_step.entry(*step).or_default().insert(curve.place.node, *loss);
        }
    }
    by_step
        .iter()
        .filter_map(|(step, losses)| geometric(*step as f64, losses))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(seed: usize, held_out: &[(u64, f64)]) -> LossCurve {
        LossCurve {
            place: StagePlace {
                stage: "tuned".to_owned(),
                variant: [("seed".to_owned(), seed.to_string())].into(),
                iteration: None,
                phase: "tuned".to_owned(),
                node: seed,
            },
            points: vec![(1, 4.0), (2, 2.0), (3, 1.0)],
            held_out: held_out.to_vec(),
        }
    }

    #[test]
    fn held_out_losses_are_a_dashed_line_of_the_same_colour() {
        let plain = losses(&[curve(1, &[])]).unwrap();
        assert_eq!(plain.panels()[0].series.len(), 1);
        assert!(!plain.caption.contains("dashed"));
        let figure = losses(&[curve(1, &[(2, 4.0), (3, 8.0)]), curve(2, &[(2, 1.0)])]).unwrap();
        assert!(figure.caption.contains("dashed: of the tokens of the validation set"));
        let series = &figure.panels()[0].series;
        let [trained, held_out] = series.as_slice() else {
            panic!("{series:?}")
        };
        assert_eq!((held_out.name.as_str(), held_out.form), ("tuned, held out", SeriesForm::Dashed));
        assert_eq!((held_out.style, &trained.points), (trained.style, &plain_points(&[1, 2])));
        let points: Vec<(f64, f64)> = held_out
            .points
            .iter()
            .map(|point| (point.x, (point.y * 1e9).round() / 1e9))
            .collect();
        assert_eq!(points, [(2.0, 2.0), (3.0, 8.0)]);
        let svg = figure.drawn()[0].svg("");
        assert_eq!(svg.matches("class=\"dashed\"").count(), 1);
        // The line opens the stages of both seeds, although the second one ended before its last point.
        assert_eq!(held_out.points[0].nodes, [1, 2]);
        assert_eq!(svg.matches("data-stages=\"1 2\"").count(), 2, "{svg}");
        let once = losses(&[curve(1, &[(3, 8.0)])]).unwrap();
        assert_eq!(once.panels()[0].series[1].form, SeriesForm::Marked);
    }

    fn plain_points(nodes: &[usize]) -> Vec<FigurePoint> {
        let curves: Vec<LossCurve> = nodes.iter().map(|node| curve(*node, &[])).collect();
        let curves: Vec<&LossCurve> = curves.iter().collect();
        means(&curves.iter().collect::<Vec<_>>(), |curve| &curve.points)
    }
}

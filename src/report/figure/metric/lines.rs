//! A metric over a numeric axis.

use super::super::series::sorted_unique;
use super::super::{Divergence, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use super::arrange::part;
use super::values::{Combination, MetricValues};

pub(super) const CAPTION: &str = "Means over the seeds, with a band of one standard deviation.";
pub(super) const DOTS_CAPTION: &str =
    "A point for each combination, over each axis of numbers: means over the seeds, with a line of one standard deviation.";

/// A line for each combination of the axes that are neither `x` nor `panels`.
pub(super) fn panels(values: &MetricValues<'_>, x: usize, panels: Option<usize>) -> Vec<Panel> {
    let panels: Vec<usize> = panels.into_iter().collect();
    let line_axes = values.rest(&[&[x][..], &panels].concat());
    let names: Vec<_> = values.grouped(&line_axes).into_iter().map(|(at, _)| at).collect();
    let made = values.grouped(&panels).into_iter().map(|(_, own)| {
        let lines = names.iter().enumerate().map(|(i, name)| {
            let own = own.iter().copied().filter(|combination| part(&combination.at, &line_axes) == *name);
            let label = own.clone().next().map(|combination| values.label(&combination.at, &line_axes));
            Series {
                name: label
                    .filter(|label| !label.is_empty())
                    .unwrap_or_else(|| values.metric.title.clone()),
                entry: None,
                style: SeriesStyle::Colour(i),
                form: SeriesForm::Marked,
                points: points(values, x, own),
            }
        });
        let series: Vec<Series> = lines.filter(|line| !line.points.is_empty()).collect();
        (values.shared_label(&own, &panels), x, series)
    });
    with_axes(values, made.collect())
}

/// A panel for each of the axes, with a point for each combination.
pub(super) fn dots(values: &MetricValues<'_>, over: &[usize]) -> Vec<Panel> {
    let all = values.rest(&[]);
    let made = over.iter().map(|x| {
        let dots = values.combinations.iter().map(|combination| Series {
            name: values.label(&combination.at, &all),
            entry: Some("one combination".to_owned()),
            style: SeriesStyle::Colour(0),
            form: SeriesForm::Dots,
            points: points(values, *x, std::iter::once(combination)),
        });
        (String::new(), *x, dots.filter(|dot| !dot.points.is_empty()).collect())
    });
    with_axes(values, made.collect())
}

/// The points of combinations over `x`, ascending. Combinations without a value on this axis have no point.
fn points<'a>(values: &MetricValues<'_>, x: usize, combinations: impl Iterator<Item = &'a Combination>) -> Vec<FigurePoint> {
    let place = |combination: &Combination| {
        let value = combination.at.get(x).copied().flatten()?;
        values.axes.get(x)?.numbers.as_ref()?.get(value).copied()
    };
    let mut points: Vec<FigurePoint> = combinations
        .filter_map(|combination| values.point(place(combination)?, combination))
        .collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    points
}

/// The panels with one y axis for all. What diverged is marked at the end of the axis that is worse.
fn with_axes(values: &MetricValues<'_>, mut made: Vec<(String, usize, Vec<Series>)>) -> Vec<Panel> {
    let points = made
        .iter()
        .flat_map(|(_, _, series)| series.iter().flat_map(|series| &series.points));
    let ends = points.flat_map(|point| [Some(point.y), point.ends().map(|[low, _]| low), point.ends().map(|[_, high]| high)]);
    let y = values.metric.axis(&sorted_unique(ends.flatten().filter(|end| end.is_finite())));
    let worse = values.metric.worse_end(&y);
    for (_, _, series) in &mut made {
        for point in series.iter_mut().flat_map(|series| &mut series.points) {
            point.diverged = point.diverged.map(|diverged| Divergence { at: worse, ..diverged });
        }
    }
    let panel = |(title, x, series): (String, usize, Vec<Series>)| {
        let x = values.axes.get(x)?.drawn()?;
        Some(Panel {
            title,
            x,
            y: y.clone(),
            series,
        })
    };
    made.into_iter().filter_map(panel).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::axis::Scale;
    use super::super::values::tests::{score, scores};
    use super::super::{MetricFigures, figures};
    use crate::figure::Figure;
    use crate::layout::Better;
    use crate::metrics::MetricColumn;

    /// Three learning rates, two optimizers, two seeds; one seed diverged at the greatest rate.
    fn figure(better: Option<Better>) -> Figure {
        let mut all = Vec::new();
        for lr in ["0.001", "0.01", "0.1"] {
            for optimizer in ["adam", "sgd"] {
                for seed in ["1", "2"] {
                    let rate: f64 = lr.parse().unwrap();
                    let value = if lr == "0.1" && optimizer == "sgd" && seed == "2" {
                        f64::NAN
                    } else {
                        0.5 + rate
                    };
                    let variant = [("lr", lr), ("optimizer", optimizer), ("seed", seed)];
                    all.push(score(all.len(), "fit", &variant, &[("accuracy", value)]));
                }
            }
        }
        let metric = MetricColumn {
            name: "accuracy".to_owned(),
            title: "accuracy".to_owned(),
            is_percent: true,
            better,
            ..MetricColumn::default()
        };
        let chosen = MetricFigures {
            metrics: vec![metric],
            axes: Vec::new(),
        };
        figures(&scores(all), &chosen).pop().unwrap()
    }

    #[test]
    fn a_line_for_each_optimizer_over_the_learning_rate() {
        let figure = figure(Some(Better::Higher));
        assert_eq!((figure.part, figure.name.as_str()), ("metric-figures", "metric-accuracy"));
        let [panel] = figure.panels() else { panic!("{figure:?}") };
        let names: Vec<&str> = panel.series.iter().map(|series| series.name.as_str()).collect();
        assert_eq!(
            (names, panel.x.scale, panel.y.title.as_str()),
            (vec!["optimizer=adam", "optimizer=sgd"], Scale::Log, "accuracy, %")
        );
        let labels: Vec<String> = panel.x.ticks().into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["0.001", "0.01", "0.1"]);
        assert_eq!(panel.series[0].points.len(), 3);
    }

    #[test]
    fn a_seed_that_diverged_is_a_cross_where_it_is_worse() {
        for (better, at_top) in [(Some(Better::Higher), false), (Some(Better::Lower), true), (None, true)] {
            let figure = figure(better);
            let panel = &figure.panels()[0];
            let last = panel.series[1].points.last().unwrap();
            let diverged = last.diverged.unwrap();
            assert!(last.y.is_nan());
            assert_eq!((diverged.count, diverged.of), (1, 2));
            assert_eq!(diverged.at, if at_top { panel.y.high } else { panel.y.low });
            assert_eq!(figure.svg().matches("class=\"cross\"").count(), 1);
            assert!(figure.caption.contains("diverged"), "{}", figure.caption);
        }
    }

    #[test]
    fn the_numbers_have_the_values_of_the_axis_as_they_were_written() {
        let table = figure(None).numbers();
        let titles: Vec<&str> = table.columns().map(|(_, column)| column.title.as_str()).collect();
        assert_eq!(titles, ["panel", "lr", "optimizer=adam", "optimizer=sgd"]);
        let texts: Vec<&str> = table.rows[2].cells.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(texts, ["", "0.1", "60.0 ± 0.0 %", "– (1 of 2 diverged)"]);
    }
}

//! Accuracy and steps by iteration, in and out of domain.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::series::{self, Names, bare, point, reference};
use super::{Figure, Form, Panel, Series};
use crate::report::scores::{Row, Scores};

const CAPTION: &str = "Means over the seeds, with a band of one standard deviation; dashed: evaluations outside of the loop";

pub(super) fn accuracy(scores: &Scores) -> Option<Figure> {
    let y = |_: &[Series]| Axis::fixed("right answers, %", 0.0, 100.0);
    let panels = panels(scores, "accuracy", 100.0, y, |_| None);
    Figure::of("accuracy-by-iteration", "Accuracy by iteration", &format!("{CAPTION}."), panels)
}

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let y = |series: &[Series]| {
        let tops = series.iter().flat_map(|series| &series.points);
        Axis::from_zero("steps", tops.map(|point| point.y + point.deviation.unwrap_or_default()))
    };
    let panels = panels(scores, "average_steps", 1.0, y, |rows| {
        let full = rows
            .iter()
            .flat_map(|(row, data)| means(row, data, "average_full_steps").into_iter());
        Some(point(0.0, &full.collect(), 1.0)?.y)
    });
    let caption = format!("{CAPTION}; dotted: the full solutions.");
    Figure::of("steps-by-iteration", "Average steps by iteration", &caption, panels)
}

fn means(row: &Row<'_>, data: &str, metric: &str) -> BTreeMap<usize, f64> {
    let scores = row.on(data);
    scores
        .iter()
        .filter_map(|(source, score)| Some((*source, score.number(metric)?)))
        .collect()
}

/// A panel for each data set, a series for each evaluation and group of coordinates.
fn panels(
    scores: &Scores,
    metric: &str,
    scale: f64,
    y: impl Fn(&[Series]) -> Axis,
    full: impl Fn(&[(&Row<'_>, &str)]) -> Option<f64>,
) -> Vec<Panel> {
    let rows: Vec<Row<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let in_loop = || rows.iter().filter(|row| row.iteration.is_some());
    let names = Names::of(in_loop().map(|row| (row.base, row.group.clone())));
    let iterations = || in_loop().filter_map(|row| row.iteration).map(|k| k as f64);
    let (first, last) = (iterations().fold(f64::INFINITY, f64::min), iterations().fold(0.0, f64::max));
    let panel = |data: &&str| {
        let level = |name: &str, y: f64| reference(name, vec![bare(first, y), bare(last, y)]);
        let mut series: Vec<Series> = names
            .each()
            .map(|(name, style, (base, group))| {
                let own = in_loop().filter(|row| row.base == *base && row.group == *group);
                let points = own.filter_map(|row| point(row.iteration? as f64, &means(row, data, metric), scale));
                Series {
                    name,
                    style,
                    form: Form::Marked,
                    points: points.collect(),
                }
            })
            .collect();
        let outside = rows.iter().filter(|row| row.iteration.is_none());
        series.extend(outside.filter_map(|row| {
            let level_of = point(0.0, &means(row, data, metric), scale)?;
            let mut line = level(row.stage, level_of.y);
            line.points.iter_mut().for_each(|point| point.sources.clone_from(&level_of.sources));
            Some(line)
        }));
        let all: Vec<(&Row<'_>, &str)> = rows.iter().map(|row| (row, *data)).collect();
        series.extend(full(&all).map(|steps| series::full(vec![bare(first, steps), bare(last, steps)])));
        Panel {
            title: (*data).to_owned(),
            x: Axis::whole("iteration", iterations()),
            y: y(&series),
            series,
        }
    };
    scores.data().iter().map(panel).collect()
}

//! Accuracy and steps by the number of steps of the full solution.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::panel_groups::panel_title;
use super::series::{bare, full_solutions, point, sorted_unique};
use super::{Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use crate::scores::{Score, ScoreRow, Scores, VariantGroup, distinct};
use kinds::metrics::names;

const CAPTION: &str = "By the number of steps of the full solution; means over the seeds, with a band of one standard deviation";

pub(super) fn accuracy(scores: &Scores) -> Option<Figure> {
    let panels = panels(
        scores,
        names::ACCURACY,
        100.0,
        |_| Axis::fixed("correct answers, %", 0.0, 100.0),
        false,
    );
    Figure::new("accuracy-by-length", "Accuracy by length", &format!("{CAPTION}."), panels)
}

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let y = |series: &[Series]| {
        let tops = series.iter().flat_map(|series| &series.points);
        Axis::from_zero("steps", tops.map(FigurePoint::top))
    };
    let panels = panels(scores, names::AVERAGE_STEPS, 1.0, y, true);
    let caption = format!("{CAPTION}. Dotted: as many steps as the full solution.");
    Figure::new("steps-by-length", "Average steps by length", &caption, panels)
}

/// The metric of each score of a row, by length.
fn metric_by_length(row: &ScoreRow<'_>, data: &str, metric: &str) -> BTreeMap<u64, BTreeMap<usize, f64>> {
    let mut lengths: BTreeMap<u64, BTreeMap<usize, f64>> = BTreeMap::new();
    for (node, score) in row.on(data) {
        for (length, value) in by_full_steps(score, metric) {
            lengths.entry(length).or_default().insert(node, value);
        }
    }
    lengths
}

fn by_full_steps<'a>(score: &'a Score, metric: &'a str) -> impl Iterator<Item = (u64, f64)> + 'a {
    let groups = score.metrics.iter().flat_map(|metrics| metrics.list(names::BY_FULL_STEPS));
    groups.filter_map(move |group| Some((u64::try_from(group.integer(names::FULL_STEPS)?).ok()?, group.number(metric)?)))
}

/// A panel for each group of coordinates and each data set, a series for each phase.
fn panels(scores: &Scores, metric: &str, scale: f64, y: impl Fn(&[Series]) -> Axis, diagonal: bool) -> Vec<Panel> {
    let rows: Vec<ScoreRow<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let stages = distinct(rows.iter().map(|row| row.stage));
    let groups = distinct(rows.iter().map(|row| row.group.clone()));
    let data = scores.data();
    let places = groups.iter().flat_map(|group| data.iter().map(move |data| (group, *data)));
    let panel = |(group, data): (&VariantGroup<'_>, &str)| {
        let own = rows.iter().filter(|row| row.group == *group);
        let mut series: Vec<Series> = own
            .map(|row| Series {
                name: row.phase.to_owned(),
                entry: None,
                style: SeriesStyle::Colour(stages.iter().position(|stage| *stage == row.stage).unwrap_or(0)),
                form: SeriesForm::Marked,
                points: metric_by_length(row, data, metric)
                    .iter()
                    .filter_map(|(length, numbers)| point(*length as f64, numbers, scale))
                    .collect(),
            })
            .collect();
        let lengths = || series.iter().flat_map(|series| &series.points).map(|point| point.x);
        let x = Axis::whole("steps of the full solution", lengths());
        if diagonal {
            let line = sorted_unique(lengths());
            series.push(full_solutions(line.iter().map(|length| bare(*length, *length)).collect()));
        }
        Panel {
            title: panel_title(group, data),
            x,
            y: y(&series),
            series,
        }
    };
    places.map(panel).collect()
}

//! How many answers take how many steps: the full solutions, the first and the last phase.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::by_length::title;
use super::series::{bare, point, sorted};
use super::{Figure, Form, Panel, Point, Series, Style};
use crate::metrics::Outcome;
use crate::report::scores::{Row, Scores, distinct};

/// Answers with more steps are counted with these: a model that never ends would make the axis as long as it likes.
const MOST: u32 = 40;

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let rows: Vec<Row<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let groups = distinct(rows.iter().map(|row| row.group.clone()));
    let panels = groups.iter().flat_map(|group| {
        let own: Vec<&Row<'_>> = rows.iter().filter(|row| row.group == *group).collect();
        let chosen = ends(&own);
        scores
            .data()
            .into_iter()
            .map(|data| panel(title(group, data), &chosen, data))
            .collect::<Vec<_>>()
    });
    Figure::of(
        "steps",
        "Steps taken",
        "Share of the answers by their number of steps, means over the seeds: the full solutions, and the models of the first and the last phase.",
        panels.collect(),
    )
}

/// The first and the last phase of the loop; without a loop, all rows.
fn ends<'a, 'b>(rows: &[&'a Row<'b>]) -> Vec<&'a Row<'b>> {
    let in_loop: Vec<&Row<'_>> = rows
        .iter()
        .copied()
        .filter(|row| row.iteration.is_some() && !row.finished().is_empty())
        .collect();
    match in_loop.as_slice() {
        [] => rows.to_vec(),
        [only] => vec![only],
        [first, .., last] => vec![first, last],
    }
}

fn panel(title: String, rows: &[&Row<'_>], data: &str) -> Panel {
    let mut series = vec![Series {
        name: "full solutions".to_owned(),
        style: Style::Full,
        form: Form::Bars,
        points: full(rows, data),
    }];
    series.extend(rows.iter().enumerate().map(|(i, row)| Series {
        name: row.phase.to_owned(),
        style: Style::Colour(i),
        form: Form::Bars,
        points: bars(row, data),
    }));
    let places = sorted(series.iter().flat_map(|series| &series.points).map(|point| point.x));
    for series in series.iter_mut().filter(|series| !series.points.is_empty()) {
        let missing = |x: &&f64| !series.points.iter().any(|point| point.x.total_cmp(x).is_eq());
        let none: Vec<Point> = places.iter().filter(missing).map(|x| bare(*x, 0.0)).collect();
        series.points.extend(none);
        series.points.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    let points = || series.iter().flat_map(|series| &series.points);
    Panel {
        title,
        x: Axis::whole("steps", points().map(|point| point.x)),
        y: Axis::from_zero("answers, %", points().map(Point::top)),
        series,
    }
}

fn full(rows: &[&Row<'_>], data: &str) -> Vec<Point> {
    let answers = rows.iter().flat_map(|row| row.on(data).into_values());
    let counts = shares(answers.flat_map(|score| score.answers.iter().map(|judged| judged.outcome.full_steps)));
    counts
        .into_iter()
        .map(|(steps, share)| bare(f64::from(steps), 100.0 * share))
        .collect()
}

/// By number of steps, the mean share over the seeds; a seed without such answers counts as 0.
fn bars(row: &Row<'_>, data: &str) -> Vec<Point> {
    let taken = |outcome: Outcome| outcome.steps.min(MOST);
    let by_source: BTreeMap<usize, BTreeMap<u32, f64>> = row
        .on(data)
        .into_iter()
        .filter(|(_, score)| !score.answers.is_empty())
        .map(|(source, score)| (source, shares(score.answers.iter().map(|judged| taken(judged.outcome)))))
        .collect();
    let steps = distinct(by_source.values().flat_map(|shares| shares.keys().copied()));
    let bar = |steps: u32| {
        let share = |(source, shares): (&usize, &BTreeMap<u32, f64>)| (*source, shares.get(&steps).copied().unwrap_or_default());
        point(f64::from(steps), &by_source.iter().map(share).collect(), 100.0)
    };
    steps.into_iter().filter_map(bar).collect()
}

fn shares(steps: impl Iterator<Item = u32>) -> BTreeMap<u32, f64> {
    let (mut counts, mut all) = (BTreeMap::new(), 0.0);
    for steps in steps {
        *counts.entry(steps).or_insert(0.0) += 1.0;
        all += 1.0;
    }
    counts.into_iter().map(|(steps, count)| (steps, count / all)).collect()
}

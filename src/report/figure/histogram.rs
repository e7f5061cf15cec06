//! The number of answers by number of steps: full solutions, first phase, last phase.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Axis;
use super::panel_groups::panel_title;
use super::series::{bare, point};
use super::{Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use crate::scores::{ScoreRow, Scores, distinct};
use kinds::metrics::Outcome;

/// Answers with more steps are counted with these, because an answer that never ends would stretch the axis.
const MAX_STEPS: u32 = 40;

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let rows: Vec<ScoreRow<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let groups = distinct(rows.iter().map(|row| row.group.clone()));
    let panels = groups.iter().flat_map(|group| {
        let own: Vec<&ScoreRow<'_>> = rows.iter().filter(|row| row.group == *group).collect();
        let chosen = ends(&own);
        scores
            .data()
            .into_iter()
            .map(|data| panel(panel_title(group, data), &chosen, data))
            .collect::<Vec<_>>()
    });
    Figure::new(
        "steps",
        "Steps taken",
        "Share of the answers by their number of steps, means over the seeds: the full solutions, and the models of the first and the last phase.",
        panels.collect(),
    )
}

/// The first and the last phase of the loop; without a loop, all rows.
fn ends<'a, 'b>(rows: &[&'a ScoreRow<'b>]) -> Vec<&'a ScoreRow<'b>> {
    let in_loop: Vec<&ScoreRow<'_>> = rows
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

fn panel(title: String, rows: &[&ScoreRow<'_>], data: &str) -> Panel {
    let full = full(rows, data);
    let taken: Vec<SharesByStage> = rows.iter().map(|row| taken(row, data)).collect();
    let all = taken.iter().flat_map(BTreeMap::values).chain([&full]);
    let places: BTreeSet<u32> = all.flat_map(|shares| shares.keys().copied()).collect();
    let mut series = vec![Series {
        name: "full solutions".to_owned(),
        entry: None,
        style: SeriesStyle::Full,
        form: SeriesForm::Bars,
        points: places
            .iter()
            .filter(|_| !full.is_empty())
            .map(|steps| bare(f64::from(*steps), share(&full, *steps)))
            .collect(),
    }];
    series.extend(rows.iter().zip(&taken).enumerate().map(|(i, (row, taken))| Series {
        name: row.phase.to_owned(),
        entry: None,
        style: SeriesStyle::Colour(i),
        form: SeriesForm::Bars,
        points: places.iter().filter_map(|steps| bar(taken, *steps)).collect(),
    }));
    let points = || series.iter().flat_map(|series| &series.points);
    Panel {
        title,
        x: Axis::whole("steps", points().map(|point| point.x)),
        y: Axis::from_zero("answers, %", points().map(FigurePoint::top)),
        series,
    }
}

/// By number of steps, the share of the answers.
type StepShares = BTreeMap<u32, f64>;

/// The shares of each evaluation.
type SharesByStage = BTreeMap<usize, StepShares>;

fn full(rows: &[&ScoreRow<'_>], data: &str) -> StepShares {
    let answers = rows.iter().flat_map(|row| row.on(data).into_values());
    shares(answers.flat_map(|score| score.answers.iter().map(|judged| judged.outcome.full_steps)))
}

fn taken(row: &ScoreRow<'_>, data: &str) -> SharesByStage {
    let taken = |outcome: Outcome| outcome.steps.min(MAX_STEPS);
    row.on(data)
        .into_iter()
        .filter(|(_, score)| !score.answers.is_empty())
        .map(|(node, score)| (node, shares(score.answers.iter().map(|judged| taken(judged.outcome)))))
        .collect()
}

/// The mean share over the seeds; a seed without such answers counts as 0.
fn bar(taken: &SharesByStage, steps: u32) -> Option<FigurePoint> {
    let shares = taken.iter().map(|(node, shares)| (*node, share(shares, steps)));
    point(f64::from(steps), &shares.collect(), 1.0)
}

/// In per cent.
fn share(shares: &StepShares, steps: u32) -> f64 {
    100.0 * shares.get(&steps).copied().unwrap_or_default()
}

fn shares(steps: impl Iterator<Item = u32>) -> StepShares {
    let (mut counts, mut all) = (BTreeMap::new(), 0.0);
    for steps in steps {
        *counts.entry(steps).or_insert(0.0) += 1.0;
        all += 1.0;
    }
    counts.into_iter().map(|(steps, count)| (steps, count / all)).collect()
}

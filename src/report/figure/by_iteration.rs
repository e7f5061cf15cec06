//! Accuracy, steps and valid steps by iteration, in and out of domain.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::panel_groups::PanelGroup;
use super::series::{self, SeriesNames, bare, point, reference_line, sorted_unique};
use super::{Figure, FigurePoint, Panel, Series, SeriesForm};
use crate::scores::{ScoreRow, Scores, group_text};
use kinds::metrics::names;

const CAPTION: &str = "Means over the seeds, with a band of one standard deviation; dashed: evaluations outside of the loop";

/// The metric of one figure.
struct IterationPlot {
    metric: &'static str,
    scale: f64,
    y: fn(&[Series]) -> Axis,
    /// Whether the steps of the full solutions are plot too.
    full: bool,
}

pub(super) fn accuracy(scores: &Scores) -> Option<Figure> {
    let plot = IterationPlot {
        metric: names::ACCURACY,
        scale: 100.0,
        y: |_| Axis::fixed("correct answers, %", 0.0, 100.0),
        full: false,
    };
    let panels = panels(scores, &plot);
    Figure::new("accuracy-by-iteration", "Accuracy by iteration", &format!("{CAPTION}."), panels)
}

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let plot = IterationPlot {
        metric: names::AVERAGE_STEPS,
        scale: 1.0,
        y: |series| {
            let tops = series.iter().flat_map(|series| &series.points);
            Axis::from_zero("steps", tops.map(FigurePoint::top))
        },
        full: true,
    };
    let caption = format!("{CAPTION}; dotted: the full solutions.");
    Figure::new("steps-by-iteration", "Average steps by iteration", &caption, panels(scores, &plot))
}

pub(super) fn valid(scores: &Scores) -> Option<Figure> {
    let plot = IterationPlot {
        metric: names::VALID_RIGHT,
        scale: 100.0,
        y: |_| Axis::fixed("of the correct answers, %", 0.0, 100.0),
        full: false,
    };
    let caption = format!(
        "Of the correct answers, the share in which every step follows from the one before it. The others reached the answer in another way, for example by luck. {CAPTION}."
    );
    Figure::new(
        "valid-by-iteration",
        "Correct answers with valid steps by iteration",
        &caption,
        panels(scores, &plot),
    )
}

fn means(row: &ScoreRow<'_>, data: &str, metric: &str) -> BTreeMap<usize, f64> {
    let scores = row.on(data);
    scores
        .iter()
        .filter_map(|(node, score)| Some((*node, score.number(metric)?)))
        .collect()
}

/// A panel for each data set and panel group, a series for each evaluation and group of coordinates.
fn panels(scores: &Scores, plot: &IterationPlot) -> Vec<Panel> {
    let rows: Vec<ScoreRow<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let data = scores.data();
    let each = data.iter().flat_map(|data| {
        let group = PanelGroup::of_rows(&rows, data).into_iter();
        group.map(|group| {
            let own = rows
                .iter()
                .filter_map(|row| Some(row.with_group(group.distinct_coordinates(&row.group)?)));
            plot.panel(group.title(data), &own.collect::<Vec<_>>(), data)
        })
    });
    each.collect()
}

impl IterationPlot {
    fn panel(&self, title: String, rows: &[ScoreRow<'_>], data: &str) -> Panel {
        let in_loop = || rows.iter().filter(|row| row.iteration.is_some());
        let iterations = || in_loop().filter_map(|row| row.iteration).map(|k| k as f64);
        let places = sorted_unique(iterations());
        let level = |at: &FigurePoint| places.iter().map(|x| FigurePoint { x: *x, ..at.clone() }).collect();
        let mut series = self.by_iteration(rows, data);
        series.extend(self.outside(rows, data).iter().map(|(name, at)| reference_line(name, level(at))));
        let full = rows.iter().flat_map(|row| means(row, data, names::AVERAGE_FULL_STEPS)).collect();
        let full = point(0.0, &full, 1.0).filter(|_| self.full);
        series.extend(full.map(|steps| series::full_solutions(level(&bare(0.0, steps.y)))));
        Panel {
            title,
            x: Axis::whole("iteration", iterations()),
            y: (self.y)(&series),
            series,
        }
    }

    /// The evaluations outside of the loop, each once even if variants share it. Several rows of one stage have their coordinates in the name.
    fn outside(&self, rows: &[ScoreRow<'_>], data: &str) -> Vec<(String, FigurePoint)> {
        let outside = rows.iter().filter(|row| row.iteration.is_none());
        let mut found: Vec<(&ScoreRow<'_>, FigurePoint)> = Vec::new();
        for row in outside {
            let at = point(0.0, &means(row, data, self.metric), self.scale);
            let new = at.filter(|at| {
                !found
                    .iter()
                    .any(|(other, known)| other.stage == row.stage && known.nodes == at.nodes)
            });
            found.extend(new.map(|at| (row, at)));
        }
        let name = |row: &ScoreRow<'_>| {
            let alone = found.iter().filter(|(other, _)| other.stage == row.stage).count() == 1;
            match group_text(&row.group).as_str() {
                group if !alone && !group.is_empty() => format!("{}, {group}", row.stage),
                _ => row.stage.to_owned(),
            }
        };
        found.iter().map(|(row, at)| (name(row), at.clone())).collect()
    }

    fn by_iteration(&self, rows: &[ScoreRow<'_>], data: &str) -> Vec<Series> {
        let in_loop = || rows.iter().filter(|row| row.iteration.is_some());
        let names = SeriesNames::new(in_loop().map(|row| (row.base, row.group.clone())));
        let series = names.each().map(|(name, style, (base, group))| {
            let own = in_loop().filter(|row| row.base == *base && row.group == *group);
            let points = own.filter_map(|row| point(row.iteration? as f64, &means(row, data, self.metric), self.scale));
            Series {
                name,
                entry: None,
                style,
                form: SeriesForm::Marked,
                points: points.collect(),
            }
        });
        series.collect()
    }
}

//! Accuracy, steps and valid steps by iteration, in and out of domain.

use std::collections::BTreeMap;

use super::alike::Alike;
use super::axis::Axis;
use super::series::{self, Names, bare, point, reference, sorted};
use super::{Figure, Form, Panel, Point, Series};
use crate::scores::{Row, Scores, group_text};
use kinds::metrics::names;

const CAPTION: &str = "Means over the seeds, with a band of one standard deviation; dashed: evaluations outside of the loop";

/// What is drawn.
struct Drawn {
    metric: &'static str,
    scale: f64,
    y: fn(&[Series]) -> Axis,
    /// Whether the full solutions' steps are drawn as well.
    full: bool,
}

pub(super) fn accuracy(scores: &Scores) -> Option<Figure> {
    let drawn = Drawn {
        metric: names::ACCURACY,
        scale: 100.0,
        y: |_| Axis::fixed("right answers, %", 0.0, 100.0),
        full: false,
    };
    let panels = panels(scores, &drawn);
    Figure::of("accuracy-by-iteration", "Accuracy by iteration", &format!("{CAPTION}."), panels)
}

pub(super) fn steps(scores: &Scores) -> Option<Figure> {
    let drawn = Drawn {
        metric: names::AVERAGE_STEPS,
        scale: 1.0,
        y: |series| {
            let tops = series.iter().flat_map(|series| &series.points);
            Axis::from_zero("steps", tops.map(Point::top))
        },
        full: true,
    };
    let caption = format!("{CAPTION}; dotted: the full solutions.");
    Figure::of("steps-by-iteration", "Average steps by iteration", &caption, panels(scores, &drawn))
}

pub(super) fn valid(scores: &Scores) -> Option<Figure> {
    let drawn = Drawn {
        metric: names::VALID_RIGHT,
        scale: 100.0,
        y: |_| Axis::fixed("of the right answers, %", 0.0, 100.0),
        full: false,
    };
    let caption = format!(
        "Of the right answers, the share in which every step follows from what stands before it: the others came to it some other way, luck for one. {CAPTION}."
    );
    Figure::of(
        "valid-by-iteration",
        "Right answers with valid steps by iteration",
        &caption,
        panels(scores, &drawn),
    )
}

fn means(row: &Row<'_>, data: &str, metric: &str) -> BTreeMap<usize, f64> {
    let scores = row.on(data);
    scores
        .iter()
        .filter_map(|(source, score)| Some((*source, score.number(metric)?)))
        .collect()
}

/// A panel for each data set and each kind of problems, a series for each evaluation and group of coordinates.
fn panels(scores: &Scores, drawn: &Drawn) -> Vec<Panel> {
    let rows: Vec<Row<'_>> = scores.rows().into_iter().filter(|row| !row.is_numbered()).collect();
    let data = scores.data();
    let each = data.iter().flat_map(|data| {
        let alike = Alike::rows(&rows, data).into_iter();
        alike.map(|alike| {
            let own = rows.iter().filter_map(|row| Some(row.among(alike.rest(&row.group)?)));
            drawn.panel(alike.title(data), &own.collect::<Vec<_>>(), data)
        })
    });
    each.collect()
}

impl Drawn {
    fn panel(&self, title: String, rows: &[Row<'_>], data: &str) -> Panel {
        let in_loop = || rows.iter().filter(|row| row.iteration.is_some());
        let iterations = || in_loop().filter_map(|row| row.iteration).map(|k| k as f64);
        let places = sorted(iterations());
        let level = |at: &Point| places.iter().map(|x| Point { x: *x, ..at.clone() }).collect();
        let mut series = self.by_iteration(rows, data);
        series.extend(self.outside(rows, data).iter().map(|(name, at)| reference(name, level(at))));
        let full = rows.iter().flat_map(|row| means(row, data, names::AVERAGE_FULL_STEPS)).collect();
        let full = point(0.0, &full, 1.0).filter(|_| self.full);
        series.extend(full.map(|steps| series::full(level(&bare(0.0, steps.y)))));
        Panel {
            title,
            x: Axis::whole("iteration", iterations()),
            y: (self.y)(&series),
            series,
        }
    }

    /// The evaluations outside of the loop, each once, whichever variants share it; with the coordinates in its name where there are others.
    fn outside(&self, rows: &[Row<'_>], data: &str) -> Vec<(String, Point)> {
        let outside = rows.iter().filter(|row| row.iteration.is_none());
        let mut found: Vec<(&Row<'_>, Point)> = Vec::new();
        for row in outside {
            let at = point(0.0, &means(row, data, self.metric), self.scale);
            let new = at.filter(|at| {
                !found
                    .iter()
                    .any(|(other, known)| other.stage == row.stage && known.sources == at.sources)
            });
            found.extend(new.map(|at| (row, at)));
        }
        let name = |row: &Row<'_>| {
            let alone = found.iter().filter(|(other, _)| other.stage == row.stage).count() == 1;
            match group_text(&row.group).as_str() {
                group if !alone && !group.is_empty() => format!("{}, {group}", row.stage),
                _ => row.stage.to_owned(),
            }
        };
        found.iter().map(|(row, at)| (name(row), at.clone())).collect()
    }

    fn by_iteration(&self, rows: &[Row<'_>], data: &str) -> Vec<Series> {
        let in_loop = || rows.iter().filter(|row| row.iteration.is_some());
        let names = Names::of(in_loop().map(|row| (row.base, row.group.clone())));
        let series = names.each().map(|(name, style, (base, group))| {
            let own = in_loop().filter(|row| row.base == *base && row.group == *group);
            let points = own.filter_map(|row| point(row.iteration? as f64, &means(row, data, self.metric), self.scale));
            Series {
                name,
                style,
                form: Form::Marked,
                points: points.collect(),
            }
        });
        series.collect()
    }
}

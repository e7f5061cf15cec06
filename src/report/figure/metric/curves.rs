//! Metrics by step, as trainings write them: smoothed, with the seeds together.

use std::collections::BTreeMap;

use super::super::axis::{Axis, ends};
use super::super::{Divergence, Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use super::arrange::{MAX_LINES, MAX_PANELS};
use super::axes::FigureAxis;
use super::smooth::{smoothed, weight};
use super::thin::thinned;
use super::values::{Coordinates, axes_of, coordinates, have_iterations, label};
use super::{MetricFigures, axis_of, metric_point};
use crate::metrics::MetricColumn;
use crate::scores::{Score, Scores, distinct};

/// The most points that the lines of a panel have together, and the fewest of each.
const PANEL_POINTS: usize = 1200;
const LINE_POINTS: usize = 80;

/// Curves of at most this number of points have marks, if there are not more of them than colours.
const MARKED_POINTS: usize = 20;

/// The share of the steps that the seeds must have in common to be drawn as a mean.
const COMMON_STEPS: f64 = 0.8;

/// Steps and values.
type Points = Vec<(f64, f64)>;

/// The runs of one combination of coordinates.
struct RunGroup<'a> {
    name: String,
    entry: Option<String>,
    colour: usize,
    /// By stage: one for each seed.
    runs: BTreeMap<usize, &'a Score>,
}

/// What the caption says of the lines.
#[derive(Default)]
struct Seen {
    weights: Vec<f64>,
    has_band: bool,
    diverged: bool,
}

/// A panel for each series, a line for each combination of coordinates; `None` without series.
pub(in super::super) fn curves(scores: &Scores, chosen: &MetricFigures) -> Option<Figure> {
    let with_series: Vec<&Score> = scores.scores.iter().filter(|score| !score.series.is_empty()).collect();
    let (groups, coloured_by) = groups(&with_series, &chosen.axes);
    let names = series_names(&with_series, &chosen.metrics);
    let mut seen = Seen::default();
    let panels = names.iter().take(MAX_PANELS).map(|name| panel(name, &groups, &mut seen));
    let panels: Vec<Panel> = panels.collect();
    let mut caption = seen.caption();
    if groups.len() > MAX_LINES {
        caption += &format!(" A line for each of {} combinations", groups.len());
        caption += &coloured_by.map_or_else(|| ".".to_owned(), |axis| format!(", coloured by {axis}."));
    }
    if names.len() > MAX_PANELS {
        caption += &format!(" The first {MAX_PANELS} of {} series.", names.len());
    }
    Figure::new("curves", "Curves", &caption, panels)
}

/// The names of all series, each once: those of chosen metrics first, in their order, so that none of them is among those that are left out.
fn series_names<'a>(scores: &[&'a Score], chosen: &[MetricColumn]) -> Vec<&'a str> {
    let all = scores
        .iter()
        .flat_map(|score| score.series.iter().map(|series| series.name.as_str()));
    let mut names = distinct(all);
    names.sort_by_key(|name| chosen.iter().position(|metric| metric.name == *name).unwrap_or(chosen.len()));
    names
}

/// The runs by coordinates. With more of them than colours, those of one value of an axis share a colour: the name of the axis.
fn groups<'a>(scores: &[&'a Score], axes: &[String]) -> (Vec<RunGroup<'a>>, Option<String>) {
    let has_iterations = have_iterations(scores.iter().copied());
    let of = |score: &&Score| coordinates(score, axes, has_iterations);
    let all: Vec<Coordinates> = scores.iter().map(of).collect();
    let (axes, places) = axes_of(&all);
    let mut known: BTreeMap<Vec<Option<usize>>, BTreeMap<usize, &Score>> = BTreeMap::new();
    for (at, score) in places.into_iter().zip(scores) {
        known.entry(at).or_default().insert(score.place.node, *score);
    }
    let colours = (known.len() > MAX_LINES).then(|| colour_axis(&axes));
    let every: Vec<usize> = (0..axes.len()).collect();
    let group = |(i, (at, runs)): (usize, (Vec<Option<usize>>, _))| {
        let (colour, entry) = match colours {
            None => (i, None),
            Some(None) => (0, Some("one combination".to_owned())),
            Some(Some(axis)) => {
                let value = at.get(axis).copied().flatten();
                (value.unwrap_or(MAX_LINES - 1), Some(label(&axes, &at, &[axis])))
            }
        };
        let name = match label(&axes, &at, &every) {
            name if name.is_empty() => scores.first().map_or_else(String::new, |score| score.place.stage.clone()),
            name => name,
        };
        RunGroup { name, entry, colour, runs }
    };
    let groups = known.into_iter().enumerate().map(group).collect();
    let named = colours.flatten().and_then(|axis| axes.get(axis)).map(|axis| axis.name.clone());
    (groups, named)
}

/// The axis with the most values for which there are colours.
fn colour_axis(axes: &[FigureAxis]) -> Option<usize> {
    let fitting = axes.iter().enumerate().filter(|(_, axis)| axis.values.len() <= MAX_LINES);
    let best = fitting.min_by_key(|(_, axis)| std::cmp::Reverse(axis.values.len()));
    best.map(|(i, _)| i)
}

fn panel(name: &str, groups: &[RunGroup<'_>], seen: &mut Seen) -> Panel {
    let is_crowded = groups.len() > MAX_LINES;
    let mut series: Vec<Series> = Vec::new();
    let mut unit = String::new();
    for group in groups {
        let mut runs: Vec<(usize, Points)> = Vec::new();
        for (node, score) in &group.runs {
            let Some(found) = score.series.iter().find(|series| series.name == name) else {
                continue;
            };
            unit.clone_from(&found.unit);
            let finite = found.points.iter().filter(|(step, _)| step.is_finite());
            runs.push((*node, finite.copied().collect()));
        }
        let room = (PANEL_POINTS / groups.len().max(1)).max(LINE_POINTS);
        series.extend(lines(group, &runs, room, is_crowded, seen));
    }
    let is_plain = is_crowded || series.iter().any(|series| series.points.len() > MARKED_POINTS);
    // A single point is seen by its mark alone.
    let is_line = |line: &&mut Series| line.form == SeriesForm::Marked && line.points.len() > 1;
    for line in series.iter_mut().filter(|line| is_plain && is_line(line)) {
        line.form = SeriesForm::Line;
    }
    let unit = if unit.is_empty() { "step" } else { unit.as_str() };
    let steps = || series.iter().flat_map(|series| &series.points).map(|point| point.x);
    Panel {
        title: name.to_owned(),
        x: if steps().all(|step| step >= 0.0) {
            Axis::from_zero(unit, steps())
        } else {
            Axis::around(unit, steps())
        },
        y: axis_of(name, "", &heights(&series)),
        series,
    }
}

/// The values that the axis must hold: all of the lines and bands, and of what they smooth all but the most extreme ones.
fn heights(series: &[Series]) -> Vec<f64> {
    let mut heights = Vec::new();
    for series in series {
        let ends = |point: &FigurePoint| [point.y].into_iter().chain(point.ends().into_iter().flatten());
        let mut own: Vec<f64> = series.points.iter().flat_map(ends).filter(|height| height.is_finite()).collect();
        if series.form == SeriesForm::Faint {
            own.sort_by(f64::total_cmp);
            let spare = own.len() / 50;
            own = own.get(spare..own.len() - spare).map(<[f64]>::to_vec).unwrap_or_default();
        }
        heights.extend(own);
    }
    heights
}

/// The lines of one combination: the mean of its runs where they have the same steps, else each run.
fn lines(group: &RunGroup<'_>, runs: &[(usize, Points)], room: usize, is_crowded: bool, seen: &mut Seen) -> Vec<Series> {
    let longest = runs.iter().map(|(_, points)| points.len()).max().unwrap_or(0);
    let weight = weight(longest);
    seen.weights.extend(weight);
    let smooth: Vec<(usize, Points)> = match weight {
        Some(weight) => runs.iter().map(|(node, points)| (*node, smooth(points, weight))).collect(),
        None => runs.to_vec(),
    };
    let line = |form, points: Vec<FigurePoint>| Series {
        name: group.name.clone(),
        entry: group.entry.clone(),
        style: SeriesStyle::Colour(group.colour),
        form,
        points,
    };
    let agree = means(runs).len() as f64 >= COMMON_STEPS * longest as f64;
    let parts: Vec<&[(usize, Points)]> = if agree { vec![&smooth] } else { smooth.chunks(1).collect() };
    let raw: Vec<&[(usize, Points)]> = if agree { vec![runs] } else { runs.chunks(1).collect() };
    let mut series = Vec::new();
    if weight.is_some() && !is_crowded {
        series.extend(raw.iter().map(|runs| line(SeriesForm::Faint, drawn(means(runs), room))));
    }
    for part in parts {
        let mut points = drawn(means(part), room);
        if is_crowded {
            points.iter_mut().for_each(|point| point.spread = None);
        }
        seen.has_band |= points.iter().any(|point| point.spread.is_some());
        seen.diverged |= points.iter().any(|point| point.diverged.is_some());
        series.push(line(SeriesForm::Marked, points));
    }
    series.retain(|series| !series.points.is_empty());
    for faint in series.iter_mut().filter(|series| series.form == SeriesForm::Faint) {
        faint
            .points
            .iter_mut()
            .for_each(|point| (point.diverged, point.spread) = (None, None));
    }
    series
}

fn smooth(points: &Points, weight: f64) -> Points {
    let values = smoothed(points.iter().map(|(_, value)| *value), weight);
    points.iter().map(|(step, _)| *step).zip(values).collect()
}

/// The means over the runs at the steps that all of them have.
fn means(runs: &[(usize, Points)]) -> Vec<FigurePoint> {
    let mut all: Vec<(f64, usize, f64)> = Vec::new();
    for (node, points) in runs {
        all.extend(points.iter().map(|(step, value)| (*step, *node, *value)));
    }
    all.sort_by(|(a, _, _), (b, _, _)| a.total_cmp(b));
    let at_step = |chunk: &[(f64, usize, f64)]| {
        let numbers: BTreeMap<usize, f64> = chunk.iter().map(|(_, node, value)| (*node, *value)).collect();
        (numbers.len() == runs.len())
            .then(|| metric_point(chunk.first()?.0, &numbers, 1.0))
            .flatten()
    };
    all.chunk_by(|(a, _, _), (b, _, _)| a.total_cmp(b).is_eq())
        .filter_map(at_step)
        .collect()
}

/// The points that are drawn: of several in a row that diverged only the first one, marked where the line ends; of many, fewer.
fn drawn(points: Vec<FigurePoint>, room: usize) -> Vec<FigurePoint> {
    let mut kept: Vec<FigurePoint> = Vec::new();
    let mut last = f64::NAN;
    for mut point in points {
        let is_repeated = point.diverged.is_some() && kept.last().is_some_and(|before| before.diverged.is_some());
        if is_repeated {
            continue;
        }
        point.diverged = point.diverged.map(|diverged| Divergence { at: last, ..diverged });
        if point.y.is_finite() {
            last = point.y;
        }
        kept.push(point);
    }
    let heights: Vec<f64> = kept.iter().map(|point| point.y).collect();
    let chosen = thinned(&heights, room);
    chosen.into_iter().filter_map(|index| kept.get(index).cloned()).collect()
}

impl Seen {
    fn caption(&self) -> String {
        let mut text = "Metrics by step".to_owned();
        if self.has_band {
            text += "; means over the seeds, with a band of one standard deviation";
        }
        text += ".";
        if let Some((least, most)) = ends(self.weights.iter().copied()) {
            let weights = match (format!("{least:.3}"), format!("{most:.3}")) {
                (least, most) if least == most => least,
                (least, most) => format!("{least} to {most}"),
            };
            text += &format!(" Smoothed by an exponential moving average with the weight {weights}; faint: before it.");
        }
        if self.diverged {
            text += " A line ends at a cross where a seed diverged: its next value is NaN or infinite.";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::tests::{score, scores};
    use super::*;
    use kinds::artifact::metrics;

    /// A run of a variant with one series `loss` of these values, at steps of 10.
    fn run(node: usize, variant: &[(&str, &str)], values: &[f64]) -> Score {
        let points = values.iter().enumerate().map(|(i, value)| (10.0 * i as f64, *value));
        let series = metrics::Series {
            name: "loss".to_owned(),
            unit: "step".to_owned(),
            points: points.collect(),
        };
        Score {
            series: vec![series].into(),
            ..score(node, "fit", variant, &[])
        }
    }

    fn figure(runs: Vec<Score>) -> Figure {
        curves(&scores(runs), &MetricFigures::default()).unwrap()
    }

    fn names(panel: &Panel) -> Vec<(&str, SeriesForm, usize)> {
        panel
            .series
            .iter()
            .map(|series| (series.name.as_str(), series.form, series.points.len()))
            .collect()
    }

    #[test]
    fn seeds_with_the_same_steps_are_a_mean() {
        let variant = |width, seed| [("width", width), ("seed", seed)];
        let figure = figure(vec![
            run(0, &variant("16", "1"), &[1.0, 0.5]),
            run(1, &variant("16", "2"), &[2.0, 1.5]),
            run(2, &variant("1", "1"), &[3.0, 3.0]),
        ]);
        let [panel] = figure.panels() else { panic!("{figure:?}") };
        assert_eq!(
            names(panel),
            [("width=1", SeriesForm::Marked, 2), ("width=16", SeriesForm::Marked, 2)]
        );
        let first = &panel.series[1].points[0];
        assert_eq!((first.x, first.y, first.nodes.as_slice()), (0.0, 1.5, &[0, 1][..]));
        assert!(first.spread.is_some() && figure.caption.contains("band"));
        assert_eq!((panel.title.as_str(), panel.x.title.as_str()), ("loss", "step"));
    }

    #[test]
    fn seeds_with_other_steps_are_lines_of_their_own() {
        let mut other = run(1, &[("seed", "2")], &[2.0, 1.5, 1.0]);
        let mut series = other.series[0].clone();
        series.points.iter_mut().for_each(|(step, _)| *step += 5.0);
        other.series = vec![series].into();
        let figure = figure(vec![run(0, &[("seed", "1")], &[1.0, 0.5, 0.2]), other]);
        assert_eq!(names(&figure.panels()[0]), [("fit", SeriesForm::Marked, 3); 2]);
    }

    #[test]
    fn a_line_ends_at_a_cross_where_a_seed_diverged() {
        let variant = |seed| [("seed", seed)];
        let runs = vec![
            run(0, &variant("1"), &[4.0, 3.0, 2.0, 1.0]),
            run(1, &variant("2"), &[2.0, 1.0, f64::NAN, f64::INFINITY]),
        ];
        let figure = figure(runs);
        let points = &figure.panels()[0].series[0].points;
        let heights: Vec<Option<f64>> = points.iter().map(|point| Some(point.y).filter(|y| y.is_finite())).collect();
        assert_eq!(heights, [Some(3.0), Some(2.0), None]);
        let diverged = points[2].diverged.unwrap();
        assert_eq!((points[2].x, diverged.at, diverged.count, diverged.of), (20.0, 2.0, 1, 2));
        assert_eq!(figure.svg().matches("class=\"cross\"").count(), 1);
        assert!(figure.caption.contains("cross"), "{}", figure.caption);
    }

    #[test]
    fn curves_of_chosen_metrics_come_first_and_are_not_left_out() {
        let mut run = run(0, &[], &[1.0, 2.0]);
        let named = |name| metrics::Series {
            name,
            ..run.series[0].clone()
        };
        run.series = (0..=MAX_PANELS).map(|i| named(format!("m{i}"))).collect::<Vec<_>>().into();
        let metric = |name: &str| MetricColumn {
            name: name.to_owned(),
            ..Default::default()
        };
        let metrics = ["m12", "other", "m1"].map(metric).to_vec();
        let chosen = MetricFigures { metrics, axes: Vec::new() };
        let figure = curves(&scores(vec![run]), &chosen).unwrap();
        let titles: Vec<&str> = figure.panels().iter().map(|panel| panel.title.as_str()).collect();
        assert_eq!((titles.len(), &titles[..4]), (MAX_PANELS, &["m12", "m1", "m0", "m2"][..]));
    }

    #[test]
    fn long_curves_are_smoothed_and_thinned() {
        let values: Vec<f64> = (0..10_000).map(|i| 2.0 + f64::from(i % 2)).collect();
        let figure = figure(vec![run(0, &[], &values)]);
        let [faint, line] = &figure.panels()[0].series[..] else {
            panic!("{figure:?}")
        };
        assert_eq!((faint.form, line.form), (SeriesForm::Faint, SeriesForm::Line));
        assert!(line.points.len() <= PANEL_POINTS + 4 && faint.points.len() <= PANEL_POINTS + 4);
        let last = line.points.last().unwrap();
        assert!((last.y - 2.5).abs() < 0.01 && last.x == 99_990.0, "{last:?}");
        assert!(figure.caption.contains("the weight 0.992"), "{}", figure.caption);
        assert!(figure.svg().len() < 100_000, "{}", figure.svg().len());
    }

    #[test]
    fn more_lines_than_colours_are_coloured_by_an_axis() {
        let mut runs = Vec::new();
        for width in ["1", "16", "64"] {
            for lr in ["0.1", "0.01", "0.001"] {
                runs.push(run(runs.len(), &[("lr", lr), ("width", width)], &[2.0, 1.0]));
            }
        }
        let figure = figure(runs);
        let panel = &figure.panels()[0];
        assert_eq!(panel.series.len(), 9);
        assert!(panel.series.iter().all(|series| series.form == SeriesForm::Line), "{panel:?}");
        assert_eq!(panel.series[1].name, "lr=0.001, width=16");
        let entries = super::super::super::legend::entries(&figure);
        let entries: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        assert_eq!(entries, ["lr=0.001", "lr=0.01", "lr=0.1"]);
        assert!(
            figure.caption.contains("each of 9 combinations, coloured by lr."),
            "{}",
            figure.caption
        );
    }

    #[test]
    fn without_series_there_is_no_figure() {
        assert_eq!(curves(&scores(vec![score(0, "fit", &[], &[])]), &MetricFigures::default()), None);
    }
}

//! The values of a metric at all combinations of coordinates.

use std::collections::BTreeMap;

use super::super::FigurePoint;
use super::arrange::{part, rest};
use super::axes::FigureAxis;
use super::metric_point;
use crate::metrics::MetricColumn;
use crate::scores::{SEED, Score, Scores};

/// One metric, by coordinates and stage.
pub(super) struct MetricValues<'a> {
    pub metric: &'a MetricColumn,
    /// Those with several values.
    pub axes: Vec<FigureAxis>,
    pub combinations: Vec<Combination>,
}

/// The values under one combination of coordinates.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Combination {
    /// For each axis the index of its value; `None` if there is none.
    pub at: Vec<Option<usize>>,
    /// By stage: one for each seed.
    pub numbers: BTreeMap<usize, f64>,
}

/// The names of what tells values apart beside the axes of the matrix.
const STAGE: &str = "stage";
const ITERATION: &str = "iteration";
const DATA: &str = "data";

/// All coordinates of a score, by the name of their axis.
pub(super) type Coordinates = Vec<(String, String)>;

/// The coordinates of a score but for the seed, with those of the matrix in the order of `axes`. The stage goes without its index if its
/// base name has several: that is the iteration.
pub(super) fn coordinates(score: &Score, axes: &[String], has_iterations: bool) -> Coordinates {
    let place = &score.place;
    let others = || place.variant.iter().filter(|(axis, _)| *axis != SEED);
    let mut found: Coordinates = Vec::new();
    for wanted in axes {
        found.extend(
            others()
                .find(|(axis, _)| *axis == wanted)
                .map(|(axis, value)| (axis.clone(), value.clone())),
        );
    }
    let rest = others().filter(|(axis, _)| !axes.contains(axis));
    found.extend(rest.map(|(axis, value)| (axis.clone(), value.clone())));
    let ours = |name: &str| crate::table::axis_title(name, |title| place.variant.contains_key(title));
    match place.iteration.filter(|_| has_iterations) {
        Some(iteration) => {
            found.push((ours(STAGE), place.base().to_owned()));
            found.push((ours(ITERATION), iteration.to_string()));
        }
        None => found.push((ours(STAGE), place.stage.clone())),
    }
    found.push((ours(DATA), score.data.clone()));
    found
}

/// Whether a base name has several iterations.
pub(super) fn have_iterations<'a>(scores: impl Iterator<Item = &'a Score>) -> bool {
    let mut known: BTreeMap<&str, i64> = BTreeMap::new();
    scores
        .filter_map(|score| Some((score.place.base(), score.place.iteration?)))
        .any(|(base, iteration)| *known.entry(base).or_insert(iteration) != iteration)
}

/// The axes with several values among these coordinates, and for each of the coordinates the indices of its values.
pub(super) fn axes_of(all: &[Coordinates]) -> (Vec<FigureAxis>, Vec<Vec<Option<usize>>>) {
    let mut values: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, value) in all.iter().flatten() {
        match values.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if known.contains(value) => {}
            Some((_, known)) => known.push(value.clone()),
            None => values.push((name, vec![value.clone()])),
        }
    }
    let several = values.into_iter().filter(|(_, values)| values.len() > 1);
    let is_named = |name: &str| ![STAGE, DATA].contains(&name.trim_start_matches("axis."));
    let axes: Vec<FigureAxis> = several
        .map(|(name, values)| FigureAxis::new(name, values, is_named(name)))
        .collect();
    let place = |coordinates: &Coordinates| {
        let index = |axis: &FigureAxis| {
            let (_, value) = coordinates.iter().find(|(name, _)| *name == axis.name)?;
            axis.values.iter().position(|known| known == value)
        };
        axes.iter().map(index).collect()
    };
    let places = all.iter().map(place).collect();
    (axes, places)
}

impl<'a> MetricValues<'a> {
    pub(super) fn of(scores: &Scores, metric: &'a MetricColumn, axes: &[String]) -> Self {
        let of_metric = scores.scores.iter().filter(|score| metric.is_of(score));
        let found = of_metric.filter_map(|score| Some((score, metric.number(score)?)));
        let found: Vec<(&Score, f64)> = found.collect();
        let has_iterations = have_iterations(found.iter().map(|(score, _)| *score));
        let all: Vec<Coordinates> = found.iter().map(|(score, _)| coordinates(score, axes, has_iterations)).collect();
        let (axes, places) = axes_of(&all);
        let mut known: BTreeMap<Vec<Option<usize>>, BTreeMap<usize, f64>> = BTreeMap::new();
        for (at, (score, number)) in places.into_iter().zip(&found) {
            known.entry(at).or_default().insert(score.place.node, *number);
        }
        let combination = |(at, numbers)| Combination { at, numbers };
        Self {
            metric,
            axes,
            combinations: known.into_iter().map(combination).collect(),
        }
    }

    /// The places of all combinations.
    pub(super) fn places(&self) -> Vec<&[Option<usize>]> {
        self.combinations.iter().map(|combination| combination.at.as_slice()).collect()
    }

    /// Whether a value is no finite number.
    pub(super) fn diverged(&self) -> bool {
        let numbers = self.combinations.iter().flat_map(|combination| combination.numbers.values());
        numbers.into_iter().any(|number| !number.is_finite())
    }

    /// The mean of a combination, in the unit of the figure.
    pub(super) fn point(&self, x: f64, combination: &Combination) -> Option<FigurePoint> {
        metric_point(x, &combination.numbers, self.metric.scale())
    }

    /// `depth=2, width=16`: the values on these axes.
    pub(super) fn label(&self, at: &[Option<usize>], axes: &[usize]) -> String {
        label(&self.axes, at, axes)
    }

    /// The combinations grouped by their values on these axes, in the order of the values.
    pub(super) fn grouped(&self, axes: &[usize]) -> Vec<(Vec<Option<usize>>, Vec<&Combination>)> {
        let mut groups: BTreeMap<Vec<Option<usize>>, Vec<&Combination>> = BTreeMap::new();
        for combination in &self.combinations {
            groups.entry(part(&combination.at, axes)).or_default().push(combination);
        }
        groups.into_iter().collect()
    }

    /// The axes that are none of `others`.
    pub(super) fn rest(&self, others: &[usize]) -> Vec<usize> {
        rest(&self.axes, others)
    }

    /// The label of combinations that have the same values on these axes.
    pub(super) fn shared_label(&self, own: &[&Combination], axes: &[usize]) -> String {
        own.first().map_or_else(String::new, |first| self.label(&first.at, axes))
    }
}

/// The values of one place on some of the axes: `depth=2, width=16`.
pub(super) fn label(axes: &[FigureAxis], at: &[Option<usize>], chosen: &[usize]) -> String {
    let part = |axis: &usize| Some(axes.get(*axis)?.label(at.get(*axis).copied().flatten()?));
    let parts: Vec<String> = chosen.iter().filter_map(part).collect();
    parts.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::MetricFigures;
    use super::*;
    use crate::scores::StagePlace;
    use kinds::metrics::MetricMap;
    use std::rc::Rc;

    /// A score of a program in the variant with these coordinates.
    pub(in super::super) fn score(node: usize, stage: &str, variant: &[(&str, &str)], metrics: &[(&str, f64)]) -> Score {
        let mut map = MetricMap::default();
        for (name, value) in metrics {
            map.insert(name, *value);
        }
        Score {
            place: StagePlace {
                stage: stage.to_owned(),
                variant: variant
                    .iter()
                    .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                    .collect(),
                iteration: lab::config::name_index(stage),
                phase: stage.to_owned(),
                node,
            },
            data: String::new(),
            metrics: Some(map),
            answers: Rc::default(),
            examples: Rc::default(),
            series: Rc::default(),
        }
    }

    pub(in super::super) fn scores(scores: Vec<Score>) -> Scores {
        Scores {
            experiment: "sweep".to_owned(),
            scores,
            ..Scores::default()
        }
    }

    /// A figure for each of these metrics.
    pub(in super::super) fn chosen(names: &[&str]) -> MetricFigures {
        let metric = |name: &&str| MetricColumn {
            name: (*name).to_owned(),
            title: (*name).to_owned(),
            ..MetricColumn::default()
        };
        MetricFigures {
            metrics: names.iter().map(metric).collect(),
            axes: Vec::new(),
        }
    }

    fn metric() -> MetricColumn {
        MetricColumn {
            name: "accuracy".to_owned(),
            title: "accuracy".to_owned(),
            ..MetricColumn::default()
        }
    }

    #[test]
    fn seeds_are_together_and_axes_in_their_order() {
        let each = [
            ("16", "a", "1", 0.5),
            ("16", "a", "2", 0.7),
            ("1", "a", "1", 0.2),
            ("1", "b", "1", 0.1),
        ];
        let all = each.iter().enumerate().map(|(node, (width, name, seed, value))| {
            score(
                node,
                "fit",
                &[("width", width), ("optimizer", name), ("seed", seed)],
                &[("accuracy", *value)],
            )
        });
        let (metric, scores) = (metric(), scores(all.collect()));
        let values = MetricValues::of(&scores, &metric, &["width".to_owned()]);
        let names: Vec<&str> = values.axes.iter().map(|axis| axis.name.as_str()).collect();
        assert_eq!(names, ["width", "optimizer"]);
        assert_eq!(values.axes[0].values, ["1", "16"]);
        assert_eq!(values.combinations.len(), 3);
        let labels: Vec<String> = values.combinations.iter().map(|each| values.label(&each.at, &[0, 1])).collect();
        assert_eq!(labels, ["width=1, optimizer=a", "width=1, optimizer=b", "width=16, optimizer=a"]);
        assert_eq!(values.combinations[2].numbers, [(0, 0.5), (1, 0.7)].into());
    }

    #[test]
    fn iterations_and_stages_are_axes_too() {
        let all = [("fit[0]", 0.1), ("fit[1]", 0.2), ("probe", 0.3)];
        let all = all
            .iter()
            .enumerate()
            .map(|(node, (stage, value))| score(node, stage, &[("stage", "x")], &[("accuracy", *value)]));
        let (metric, scores) = (metric(), scores(all.collect()));
        let values = MetricValues::of(&scores, &metric, &[]);
        let names: Vec<(&str, usize)> = values.axes.iter().map(|axis| (axis.name.as_str(), axis.values.len())).collect();
        assert_eq!(names, [("axis.stage", 2), ("iteration", 2)]);
        assert_eq!(values.label(&values.combinations[0].at, &[0, 1]), "fit, iteration=0");
        let of_probe = MetricColumn {
            stage: Some("probe".to_owned()),
            ..metric
        };
        let values = MetricValues::of(&scores, &of_probe, &[]);
        assert_eq!((values.axes.len(), values.combinations.len()), (0, 1));
    }
}

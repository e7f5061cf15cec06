//! Means over seeds as points, and the names and styles of series.

use std::collections::BTreeMap;

use super::{FigurePoint, Series, SeriesForm, SeriesStyle, Spread};
use crate::scores::{Mean, VariantGroup, distinct, group_text};

/// The mean of `numbers`, by node, as a point.
pub(super) fn point(x: f64, numbers: &BTreeMap<usize, f64>, scale: f64) -> Option<FigurePoint> {
    let values: Vec<f64> = numbers.values().map(|number| number * scale).collect();
    let mean = Mean::of(&values)?;
    Some(FigurePoint {
        x,
        y: mean.mean,
        spread: mean.deviation.map(Spread::Deviation),
        nodes: numbers.keys().copied().collect(),
        diverged: None,
    })
}

/// The values in ascending order, each once.
pub(super) fn sorted_unique(places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut places: Vec<f64> = places.collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

/// A point that comes from no stage.
pub(super) fn bare(x: f64, y: f64) -> FigurePoint {
    FigurePoint {
        x,
        y,
        ..FigurePoint::default()
    }
}

/// A grey, dashed series.
pub(super) fn reference_line(name: &str, points: Vec<FigurePoint>) -> Series {
    Series {
        name: name.to_owned(),
        entry: None,
        style: SeriesStyle::Reference,
        form: SeriesForm::Line,
        points,
    }
}

/// The full solutions: grey and dotted.
pub(super) fn full_solutions(points: Vec<FigurePoint>) -> Series {
    Series {
        style: SeriesStyle::Full,
        ..reference_line("full solutions", points)
    }
}

/// The base names and coordinates of the series of a panel. A series is named by what distinguishes it from the others.
pub(super) struct SeriesNames<'a> {
    keys: Vec<(&'a str, VariantGroup<'a>)>,
}

impl<'a> SeriesNames<'a> {
    pub(super) fn new(keys: impl Iterator<Item = (&'a str, VariantGroup<'a>)>) -> Self {
        Self { keys: distinct(keys) }
    }

    /// The name and style of the series of each base and group.
    pub(super) fn each(&self) -> impl Iterator<Item = (String, SeriesStyle, &(&'a str, VariantGroup<'a>))> {
        let bases = distinct(self.keys.iter().map(|(base, _)| base)).len();
        self.keys.iter().enumerate().map(move |(i, key)| {
            let (base, group) = (key.0, group_text(&key.1));
            let name = match (bases, group.as_str()) {
                (_, "") => base.to_owned(),
                (1, group) => group.to_owned(),
                (_, group) => format!("{base}, {group}"),
            };
            (name, SeriesStyle::Colour(i), key)
        })
    }
}

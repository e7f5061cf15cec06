//! Means over seeds as points, and the names and styles of series.

use std::collections::BTreeMap;

use super::{Form, Point, Series, Spread, Style};
use crate::scores::{Mean, distinct, group_text};

/// The mean of `numbers`, by source, as a point.
pub(super) fn point(x: f64, numbers: &BTreeMap<usize, f64>, scale: f64) -> Option<Point> {
    let values: Vec<f64> = numbers.values().map(|number| number * scale).collect();
    let mean = Mean::of(&values)?;
    Some(Point {
        x,
        y: mean.mean,
        spread: mean.deviation.map(Spread::Deviation),
        sources: numbers.keys().copied().collect(),
    })
}

/// The places, each once, in their order.
pub(super) fn sorted(places: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut places: Vec<f64> = places.collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    places
}

/// A point that comes from no stage.
pub(super) fn bare(x: f64, y: f64) -> Point {
    Point {
        x,
        y,
        spread: None,
        sources: Vec::new(),
    }
}

/// A grey, dashed series.
pub(super) fn reference(name: &str, points: Vec<Point>) -> Series {
    Series {
        name: name.to_owned(),
        style: Style::Reference,
        form: Form::Line,
        points,
    }
}

/// The full solutions: grey and dotted.
pub(super) fn full(points: Vec<Point>) -> Series {
    Series {
        style: Style::Full,
        ..reference("full solutions", points)
    }
}

/// Which bases and coordinates there are among what is drawn, to name what tells series apart and nothing else.
pub(super) struct Names<'a> {
    keys: Vec<(&'a str, BTreeMap<&'a str, &'a str>)>,
}

impl<'a> Names<'a> {
    pub(super) fn of(keys: impl Iterator<Item = (&'a str, BTreeMap<&'a str, &'a str>)>) -> Self {
        Self { keys: distinct(keys) }
    }

    /// Each base with each of its groups: its name, as far as there are others, and its style.
    pub(super) fn each(&self) -> impl Iterator<Item = (String, Style, &(&'a str, BTreeMap<&'a str, &'a str>))> {
        let bases = distinct(self.keys.iter().map(|(base, _)| base)).len();
        self.keys.iter().enumerate().map(move |(i, key)| {
            let (base, group) = (key.0, group_text(&key.1));
            let name = match (bases, group.as_str()) {
                (_, "") => base.to_owned(),
                (1, group) => group.to_owned(),
                (_, group) => format!("{base}, {group}"),
            };
            (name, Style::Colour(i), key)
        })
    }
}

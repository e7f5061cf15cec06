//! What the filter kept in each iteration, and how good the answers were that it was given.

use std::collections::BTreeMap;

use super::alike::{Alike, Group};
use super::axis::Axis;
use super::series::{Names, point};
use super::{Figure, Form, Panel, Point, Series, Style};
use crate::findings::Kept;
use crate::scores::distinct;
use kinds::metrics::names;

/// A share of the answers to requests for a number of steps fewer than the full solution has: the names of the part and of the whole.
type Share = (&'static str, &'static str);

const SHARES: [(&str, Share); 3] = [
    ("as short as asked for", (names::CONSISTENT, names::REQUESTS)),
    ("of these, right", (names::KEPT, names::CONSISTENT)),
    ("of these, steps all valid", (names::KEPT_VALID, names::KEPT)),
];

pub(super) fn skips(kept: &[Kept]) -> Option<Figure> {
    let alike = Alike::of(kept.iter().map(|kept| (kept.place.group(), kept.full_steps)));
    let panels = alike.iter().flat_map(|alike| {
        let own = kept.iter().filter_map(|kept| Some((alike.rest(&kept.place.group())?, kept)));
        let own: Vec<(Group<'_>, &Kept)> = own.collect();
        let mut panels = vec![counts(&own, alike.title("kept"))];
        panels.extend(SHARES.iter().flat_map(|(title, share)| self::panels(&own, title, alike, *share)));
        panels
    });
    Figure::of(
        "kept-skips",
        "Kept skips by iteration",
        "First: rows that the filter kept. Then, of the answers to requests for 1, 2 … steps fewer than the full solution has: the share with \
         exactly as many steps as asked for; the accuracy of these; and of the right ones among these, the share in which every step follows \
         from what stands before it. Means over the seeds, with a band of one standard deviation.",
        panels.collect(),
    )
}

fn counts(kept: &[(Group<'_>, &Kept)], title: String) -> Panel {
    let names = names(kept);
    let series = names.each().map(|(name, style, key)| {
        let own = among(kept, key);
        series(name, style, own, |kept| Some(kept.rows as f64), 1.0)
    });
    let series: Vec<Series> = series.collect();
    let tops = series.iter().flat_map(|series| &series.points);
    let y = Axis::from_zero("rows", tops.map(Point::top));
    Panel {
        title,
        x: iterations(kept),
        y,
        series,
    }
}

/// The panels of one share: a series for each number of steps left out; where there are several groups, a panel for each number instead.
fn panels(kept: &[(Group<'_>, &Kept)], title: &str, alike: &Alike<'_>, (part, whole): Share) -> Vec<Panel> {
    let names = names(kept);
    let several = names.each().count() > 1;
    let asked = distinct(
        kept.iter()
            .flat_map(|(_, kept)| kept.skips().filter_map(|skip| skip.integer(names::SKIP))),
    );
    let series = asked.iter().enumerate().flat_map(|(i, fewer)| {
        let value = move |kept: &Kept| {
            let skip = kept.skips().find(|skip| skip.integer(names::SKIP) == Some(*fewer))?;
            Some(skip.number(part)? / skip.number(whole).filter(|whole| *whole > 0.0)?)
        };
        let each = names.each().map(move |(name, style, key)| {
            let (name, style) = match several {
                true => (name, style),
                // The first colour is that of the counts.
                false => (format!("{fewer} fewer"), Style::Colour(1 + i)),
            };
            (*fewer, series(name, style, among(kept, key), value, 100.0))
        });
        each.collect::<Vec<_>>()
    });
    let panel = |title: &str, series: Vec<Series>| Panel {
        title: alike.title(title),
        x: iterations(kept),
        y: Axis::fixed("answers, %", 0.0, 100.0),
        series,
    };
    let series: Vec<(i64, Series)> = series.collect();
    if !several {
        return vec![panel(title, series.into_iter().map(|(_, series)| series).collect())];
    }
    let of = |fewer: i64| {
        series
            .iter()
            .filter(move |(other, _)| *other == fewer)
            .map(|(_, series)| series.clone())
    };
    asked
        .iter()
        .map(|fewer| panel(&format!("{title}, {fewer} fewer"), of(*fewer).collect()))
        .collect()
}

fn names<'a>(kept: &[(Group<'a>, &'a Kept)]) -> Names<'a> {
    Names::of(kept.iter().map(|(group, kept)| (kept.place.base(), group.clone())))
}

fn among<'a>(kept: &'a [(Group<'a>, &'a Kept)], (base, group): &'a (&str, Group<'_>)) -> impl Iterator<Item = &'a Kept> {
    let own = kept
        .iter()
        .filter(move |(other, kept)| kept.place.base() == *base && other == group);
    own.map(|(_, kept)| *kept)
}

fn iterations(kept: &[(Group<'_>, &Kept)]) -> Axis {
    let iterations = kept.iter().filter_map(|(_, kept)| kept.place.iteration);
    Axis::whole("iteration", iterations.map(|k| k as f64))
}

/// Means over the seeds of what `value` says, by iteration.
fn series<'a>(
    name: String,
    style: Style,
    kept: impl Iterator<Item = &'a Kept>,
    value: impl Fn(&Kept) -> Option<f64>,
    scale: f64,
) -> Series {
    let mut by_iteration: BTreeMap<i64, BTreeMap<usize, f64>> = BTreeMap::new();
    for kept in kept {
        if let (Some(iteration), Some(value)) = (kept.place.iteration, value(kept)) {
            by_iteration.entry(iteration).or_default().insert(kept.place.source, value);
        }
    }
    let points = by_iteration.iter().filter_map(|(k, numbers)| point(*k as f64, numbers, scale));
    Series {
        name,
        style,
        form: Form::Marked,
        points: points.collect(),
    }
}

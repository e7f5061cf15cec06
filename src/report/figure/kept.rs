//! The rows that the filter kept in each iteration, and the accuracy of the answers that it read.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::panel_groups::PanelGroup;
use super::series::{SeriesNames, point};
use super::{Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use crate::scores::{KeptSkips, VariantGroup, distinct};
use kinds::metrics::names;

/// A share of the answers to requests for skips: the metric of the answers that count, and that of all.
type SkipShare = (&'static str, &'static str);

const SHARES: [(&str, SkipShare); 3] = [
    ("as short as requested", (names::CONSISTENT, names::REQUESTS)),
    ("of these, correct", (names::KEPT, names::CONSISTENT)),
    ("of these, steps all valid", (names::KEPT_VALID, names::KEPT)),
];

pub(super) fn skips(kept: &[KeptSkips]) -> Option<Figure> {
    let alike = PanelGroup::by_problems(kept.iter().map(|kept| (kept.place.group(), kept.full_steps)));
    let panels = alike.iter().flat_map(|alike| {
        let own = kept
            .iter()
            .filter_map(|kept| Some((alike.distinct_coordinates(&kept.place.group())?, kept)));
        let own: Vec<(VariantGroup<'_>, &KeptSkips)> = own.collect();
        let mut panels = vec![counts(&own, alike.title("kept"))];
        panels.extend(SHARES.iter().flat_map(|(title, share)| self::panels(&own, title, alike, *share)));
        panels
    });
    Figure::new(
        "kept-skips",
        "Kept skips by iteration",
        "First: rows that the filter kept. Then, of the answers to requests for 1, 2 … fewer steps than the full solution has: the share with \
         exactly the requested number of steps; the accuracy of these; and of the correct ones among these, the share in which every step \
         follows from the one before it. Means over the seeds, with a band of one standard deviation.",
        panels.collect(),
    )
}

fn counts(kept: &[(VariantGroup<'_>, &KeptSkips)], title: String) -> Panel {
    let names = names(kept);
    let series = names.each().map(|(name, style, key)| {
        let own = among(kept, key);
        series(name, style, own, |kept| Some(kept.rows as f64), 1.0)
    });
    let series: Vec<Series> = series.collect();
    let tops = series.iter().flat_map(|series| &series.points);
    let y = Axis::from_zero("rows", tops.map(FigurePoint::top));
    Panel {
        title,
        x: iterations(kept),
        y,
        series,
    }
}

/// The panels of one share. One group has one panel with a series for each number of steps left out; several groups have a panel for each number.
fn panels(kept: &[(VariantGroup<'_>, &KeptSkips)], title: &str, alike: &PanelGroup<'_>, (part, whole): SkipShare) -> Vec<Panel> {
    let names = names(kept);
    let several = names.each().count() > 1;
    let asked = distinct(
        kept.iter()
            .flat_map(|(_, kept)| kept.skips().filter_map(|skip| skip.integer(names::SKIP))),
    );
    let series = asked.iter().enumerate().flat_map(|(i, fewer)| {
        let value = move |kept: &KeptSkips| {
            let skip = kept.skips().find(|skip| skip.integer(names::SKIP) == Some(*fewer))?;
            Some(skip.number(part)? / skip.number(whole).filter(|whole| *whole > 0.0)?)
        };
        let each = names.each().map(move |(name, style, key)| {
            let (name, style) = match several {
                true => (name, style),
                // The first colour is that of the counts.
                false => (format!("{fewer} fewer"), SeriesStyle::Colour(1 + i)),
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

fn names<'a>(kept: &[(VariantGroup<'a>, &'a KeptSkips)]) -> SeriesNames<'a> {
    SeriesNames::new(kept.iter().map(|(group, kept)| (kept.place.base(), group.clone())))
}

fn among<'a>(
    kept: &'a [(VariantGroup<'a>, &'a KeptSkips)],
    (base, group): &'a (&str, VariantGroup<'_>),
) -> impl Iterator<Item = &'a KeptSkips> {
    let own = kept
        .iter()
        .filter(move |(other, kept)| kept.place.base() == *base && other == group);
    own.map(|(_, kept)| *kept)
}

fn iterations(kept: &[(VariantGroup<'_>, &KeptSkips)]) -> Axis {
    let iterations = kept.iter().filter_map(|(_, kept)| kept.place.iteration);
    Axis::whole("iteration", iterations.map(|k| k as f64))
}

/// Means of `value` over the seeds, by iteration.
fn series<'a>(
    name: String,
    style: SeriesStyle,
    kept: impl Iterator<Item = &'a KeptSkips>,
    value: impl Fn(&KeptSkips) -> Option<f64>,
    scale: f64,
) -> Series {
    let mut by_iteration: BTreeMap<i64, BTreeMap<usize, f64>> = BTreeMap::new();
    for kept in kept {
        if let (Some(iteration), Some(value)) = (kept.place.iteration, value(kept)) {
            by_iteration.entry(iteration).or_default().insert(kept.place.node, value);
        }
    }
    let points = by_iteration.iter().filter_map(|(k, numbers)| point(*k as f64, numbers, scale));
    Series {
        name,
        entry: None,
        style,
        form: SeriesForm::Marked,
        points: points.collect(),
    }
}

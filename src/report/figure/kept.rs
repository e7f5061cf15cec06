//! What the filter kept in each iteration, and how good the answers were that it was given.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::series::{Names, point};
use super::{Figure, Form, Panel, Series, Style};
use crate::report::findings::{Kept, Requests};
use crate::report::scores::distinct;

pub(super) fn skips(kept: &[Kept]) -> Option<Figure> {
    let mut panels = vec![counts(kept)];
    panels.push(panel(kept, "as short as asked for", |requests| requests.share(requests.consistent)));
    panels.push(panel(kept, "right", |requests| requests.share(requests.right)));
    Figure::of(
        "kept-skips",
        "Kept skips by iteration",
        "Left: rows that the filter kept. Beside it, of the answers to requests for 1, 2 … steps fewer than the full solution has: \
         the share with exactly as many steps as asked for, and the share with the right answer. Means over the seeds, with a band of one standard deviation.",
        panels,
    )
}

fn counts(kept: &[Kept]) -> Panel {
    let names = Names::of(kept.iter().map(|kept| (kept.place.base(), kept.place.group())));
    let series = names.each().map(|(name, style, (base, group))| {
        let own = kept
            .iter()
            .filter(|kept| kept.place.base() == *base && kept.place.group() == *group);
        series(name, style, own, |kept| Some(kept.rows as f64), 1.0)
    });
    let series: Vec<Series> = series.collect();
    let tops = series.iter().flat_map(|series| &series.points);
    let y = Axis::from_zero("rows", tops.map(|point| point.y + point.deviation.unwrap_or_default()));
    Panel {
        title: "kept".to_owned(),
        x: iterations(kept),
        y,
        series,
    }
}

fn panel(kept: &[Kept], title: &str, share: fn(&Requests) -> Option<f64>) -> Panel {
    let names = Names::of(kept.iter().map(|kept| (kept.place.base(), kept.place.group())));
    let several = names.each().count() > 1;
    let fewer = distinct(kept.iter().flat_map(|kept| kept.requests.iter().map(|requests| requests.fewer)));
    let mut all = Vec::new();
    for (name, _, (base, group)) in names.each() {
        for fewer in &fewer {
            let own = kept
                .iter()
                .filter(|kept| kept.place.base() == *base && kept.place.group() == *group);
            let value = |kept: &Kept| share(kept.requests.iter().find(|requests| requests.fewer == *fewer)?);
            let name = if several {
                format!("{name}, {fewer} fewer")
            } else {
                format!("{fewer} fewer")
            };
            // The first colours are those of the counts.
            let style = Style::Colour(names.each().count() + all.len());
            all.push(series(name, style, own, value, 100.0));
        }
    }
    Panel {
        title: title.to_owned(),
        x: iterations(kept),
        y: Axis::fixed("answers, %", 0.0, 100.0),
        series: all,
    }
}

fn iterations(kept: &[Kept]) -> Axis {
    Axis::whole("iteration", kept.iter().filter_map(|kept| kept.place.iteration).map(|k| k as f64))
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

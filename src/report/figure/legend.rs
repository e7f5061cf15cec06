//! The legend of a figure: names with their colours and marks.

use super::style::shape;
use super::{Figure, Series, SeriesForm, SeriesStyle};
use crate::scores::distinct;

/// A name with its style and form.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LegendEntry<'a> {
    pub name: &'a str,
    pub style: SeriesStyle,
    pub form: SeriesForm,
}

/// The entries of all panels, each once. A faint line belongs to the one before it.
pub(super) fn entries(figure: &Figure) -> Vec<LegendEntry<'_>> {
    let series = figure.panels().iter().flat_map(|panel| &panel.series);
    let is_named = |series: &&Series| !series.points.is_empty() && series.form != SeriesForm::Faint;
    distinct(series.filter(is_named).map(|series| LegendEntry {
        name: series.entry.as_ref().unwrap_or(&series.name),
        style: series.style,
        form: series.form,
    }))
}

/// A small drawing of an entry's colour and mark.
pub(super) fn swatch(entry: &LegendEntry<'_>, x: f64, y: f64) -> String {
    let drawn = match (entry.form, entry.style) {
        (SeriesForm::Bars, _) => "<rect class=\"bar\" x=\"4\" y=\"-5\" width=\"12\" height=\"10\"/>".to_owned(),
        (SeriesForm::Marked, SeriesStyle::Colour(i)) => format!(
            "<path class=\"line\" d=\"M0 0H20\"/><path class=\"mark\" transform=\"translate(10 0)\" d=\"{}\"/>",
            shape(i)
        ),
        (SeriesForm::Dots, SeriesStyle::Colour(i)) => format!("<path class=\"mark\" transform=\"translate(10 0)\" d=\"{}\"/>", shape(i)),
        (SeriesForm::Dashed, _) => "<g class=\"dashed\"><path class=\"line\" d=\"M0 0H20\"/></g>".to_owned(),
        _ => "<path class=\"line\" d=\"M0 0H20\"/>".to_owned(),
    };
    format!("<g class=\"{}\" transform=\"translate({x} {y})\">{drawn}</g>", entry.style.class())
}

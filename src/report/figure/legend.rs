//! What the colours and marks of a figure mean, and its numbers as a table.

use super::svg::{number, swatch, value};
use super::{Figure, Form, Panel, Series, Style};
use crate::report::scores::distinct;
use crate::report::sheet::{Cell, Row, Sheet, Span};
use crate::report::{Align, escaped};

/// More points than these are a curve: the table has its ends.
const CURVE: usize = 40;

/// One name with its colour and form.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub name: &'a str,
    pub style: Style,
    pub form: Form,
}

/// The entries of all panels, each once.
pub(super) fn entries(figure: &Figure) -> Vec<Entry<'_>> {
    let series = figure.panels.iter().flat_map(|panel| &panel.series);
    distinct(series.filter(|series| !series.points.is_empty()).map(|series| Entry {
        name: &series.name,
        style: series.style,
        form: series.form,
    }))
}

impl Figure {
    /// The figure within the page: legend, panels, caption, and its numbers as a table.
    pub(in crate::report) fn html(&self) -> String {
        let mut text = format!(
            "<figure id=\"{}\">\n<h3>{}</h3>\n<ul class=\"legend\">\n",
            self.name,
            escaped(self.title)
        );
        for entry in entries(self) {
            text += &format!(
                "<li><svg class=\"plot\" width=\"20\" height=\"12\" viewBox=\"0 0 20 12\" aria-hidden=\"true\">{}</svg>{}</li>\n",
                swatch(&entry, 0.0, 6.0),
                escaped(entry.name)
            );
        }
        text += "</ul>\n<div class=\"panels\">\n";
        text.extend(self.panels.iter().map(|panel| panel.svg(self.title)));
        text += &format!(
            "</div>\n<figcaption>{}</figcaption>\n<details><summary>The numbers</summary>\n{}</details>\n</figure>\n",
            escaped(&self.caption),
            self.numbers().html()
        );
        text
    }

    /// A row for each point.
    fn numbers(&self) -> Sheet {
        let spans = match self.panels.first() {
            Some(panel) => vec![
                Span::alone("panel", Align::Left),
                Span::alone("series", Align::Left),
                Span::alone(&panel.x.title, Align::Right),
                Span::alone("value", Align::Right),
            ],
            None => Vec::new(),
        };
        let rows = self
            .panels
            .iter()
            .flat_map(|panel| panel.series.iter().map(move |series| (panel, series)));
        Sheet {
            title: self.title.to_owned(),
            spans,
            rows: rows.flat_map(|(panel, series)| rows_of(panel, series)).collect(),
        }
    }
}

fn rows_of(panel: &Panel, series: &Series) -> Vec<Row> {
    let last = series.points.len().saturating_sub(1);
    let points = series
        .points
        .iter()
        .enumerate()
        .filter(|(i, _)| last < CURVE || *i == 0 || *i == last);
    let row = |(i, point): (usize, &super::Point)| Row {
        cells: vec![
            Cell::text(&panel.title),
            Cell::text(&series.name),
            Cell::text(number(point.x)),
            Cell::from(format!("{}{}", value(point), unit(panel)), point.sources.iter().copied()),
        ],
        begins: i == 0,
    };
    points.map(row).collect()
}

/// ` %` where the axis counts shares.
fn unit(panel: &Panel) -> &'static str {
    if panel.y.title.ends_with('%') { " %" } else { "" }
}

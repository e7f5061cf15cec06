//! What the colours and marks of a figure mean, and its numbers as a table.

use super::svg::{COLOURS, number, swatch, value};
use super::{Figure, Form, Panel, Point, Series, Style};
use crate::report::scores::distinct;
use crate::report::sheet::{Cell, NONE, Row, Sheet, Span};
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

    /// Its numbers: a row for each place on a panel's axis, a column for each series; where these are too many for columns, a row for each
    /// point.
    pub(in crate::report) fn numbers(&self) -> Sheet {
        let names = distinct(entries(self).iter().map(|entry| entry.name));
        let across = if names.len() <= COLOURS { names.as_slice() } else { &[] };
        let x = self.panels.first().map_or("", |panel| &panel.x.title);
        let spans = match across {
            [] => vec![
                Span::alone("panel", Align::Left),
                Span::alone("series", Align::Left),
                Span::alone(x, Align::Right),
                Span::alone("value", Align::Right),
            ],
            names => {
                let columns = names.iter().map(|name| Span::alone(name, Align::Right));
                let place = Span {
                    leads: true,
                    ..Span::alone(x, Align::Right)
                };
                let first = [Span::alone("panel", Align::Left), place];
                first.into_iter().chain(columns).collect()
            }
        };
        let rows = self.panels.iter().flat_map(|panel| match across {
            [] => panel.series.iter().flat_map(|series| by_point(panel, series)).collect(),
            names => by_place(panel, names),
        });
        Sheet {
            title: self.title.to_owned(),
            spans,
            rows: rows.collect(),
        }
    }
}

/// The points of a series that its table has: all; of a curve, the ends.
fn told(series: &Series) -> impl Iterator<Item = &Point> {
    let last = series.points.len().saturating_sub(1);
    let points = series.points.iter().enumerate();
    points
        .filter(move |(i, _)| last < CURVE || *i == 0 || *i == last)
        .map(|(_, point)| point)
}

fn by_point(panel: &Panel, series: &Series) -> Vec<Row> {
    let row = |(i, point): (usize, &Point)| Row {
        cells: vec![
            Cell::text(&panel.title),
            Cell::text(&series.name),
            Cell::text(number(point.x)),
            cell(panel, point),
        ],
        begins: i == 0,
    };
    told(series).enumerate().map(row).collect()
}

fn by_place(panel: &Panel, names: &[&str]) -> Vec<Row> {
    let series = |name: &str| panel.series.iter().find(|series| series.name == *name);
    let mut places: Vec<f64> = panel.series.iter().flat_map(told).map(|point| point.x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let row = |(i, x): (usize, &f64)| {
        let at = |name: &&str| series(name).and_then(|series| told(series).find(|point| point.x.total_cmp(x).is_eq()));
        let cells = names
            .iter()
            .map(|name| at(name).map_or_else(|| Cell::text(NONE), |point| cell(panel, point)));
        let first = [Cell::text(&panel.title), Cell::text(number(*x))];
        Row {
            cells: first.into_iter().chain(cells).collect(),
            begins: i == 0,
        }
    };
    places.iter().enumerate().map(row).collect()
}

fn cell(panel: &Panel, point: &Point) -> Cell {
    Cell::from(format!("{}{}", value(point), unit(panel)), point.sources.iter().copied())
}

/// ` %` where the axis counts shares.
fn unit(panel: &Panel) -> &'static str {
    if panel.y.title.ends_with('%') { " %" } else { "" }
}

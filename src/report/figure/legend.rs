//! What the colours and marks of a figure mean, and its numbers as a table.

use super::series::sorted;
use super::svg::{number, swatch, value};
use super::{Figure, Form, Panel, Point, Series, Style};
use crate::escaped;
use crate::scores::distinct;
use crate::sheet::{Cell, NONE, Row, Sheet, Span};
use lab::text::Align;

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
    pub(crate) fn html(&self) -> String {
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

    /// Its numbers: a row for each place on a panel's axis, a column for each series. Curves, of which the ends are told, and series of one
    /// name in one panel have a row for each point instead.
    pub(crate) fn numbers(&self) -> Sheet {
        let names = distinct(entries(self).iter().map(|entry| entry.name));
        let columns = !self.panels.iter().any(|panel| panel.repeats() || panel.series.iter().any(is_curve));
        let x = self.panels.first().map_or("", |panel| &panel.x.title);
        let mut spans = vec![Span::alone("panel", Align::Left)];
        if columns {
            spans.push(Span::alone(x, Align::Right).leading());
            spans.extend(names.iter().map(|name| Span::alone(name, Align::Right)));
        } else {
            spans.push(Span::alone("series", Align::Left));
            spans.push(Span::alone(x, Align::Right).leading());
            spans.push(Span::alone("value", Align::Right));
        }
        let rows = self.panels.iter().flat_map(|panel| match columns {
            true => by_place(panel, &names),
            false => panel.series.iter().flat_map(|series| by_point(panel, series)).collect(),
        });
        Sheet {
            title: self.title.to_owned(),
            spans,
            rows: rows.collect(),
        }
    }
}

impl Panel {
    /// Whether several series have one name.
    fn repeats(&self) -> bool {
        distinct(self.series.iter().map(|series| &series.name)).len() < self.series.len()
    }
}

fn is_curve(series: &Series) -> bool {
    series.points.len() > CURVE
}

fn by_point(panel: &Panel, series: &Series) -> Vec<Row> {
    let last = series.points.len().saturating_sub(1);
    let told = series
        .points
        .iter()
        .enumerate()
        .filter(|(i, _)| !is_curve(series) || *i == 0 || *i == last);
    let row = |(i, point): (usize, &Point)| Row {
        cells: vec![
            Cell::text(&panel.title),
            Cell::text(&series.name),
            Cell::text(number(point.x)),
            cell(panel, point),
        ],
        begins: i == 0,
    };
    told.map(row).collect()
}

fn by_place(panel: &Panel, names: &[&str]) -> Vec<Row> {
    let places = sorted(panel.series.iter().flat_map(|series| &series.points).map(|point| point.x));
    let named = |name: &&str| {
        panel
            .series
            .iter()
            .find(|series| series.name == **name && !series.points.is_empty())
    };
    let row = |(i, x): (usize, &f64)| {
        let cells = names.iter().map(|name| match named(name) {
            Some(series) => series.at(*x).map_or_else(|| Cell::text(NONE), |point| cell(panel, point)),
            None => Cell::default(),
        });
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

#[cfg(test)]
mod tests {
    use super::super::axis::Axis;
    use super::super::series::bare;
    use super::*;
    use lab::text::Paint;

    /// A name and values.
    type Named<'a> = (&'a str, &'a [f64]);

    /// Two panels, `a` and `b`, with these series.
    fn figure(panels: [&[Named<'_>]; 2]) -> Figure {
        let series = |(name, values): &Named<'_>| Series {
            name: (*name).to_owned(),
            style: Style::Colour(0),
            form: Form::Marked,
            points: values.iter().enumerate().map(|(x, y)| bare(x as f64, *y)).collect(),
        };
        let panel = |(title, all): (&str, &[Named<'_>])| Panel {
            title: title.to_owned(),
            x: Axis::fixed("iteration", 0.0, 2.0),
            y: Axis::fixed("answers, %", 0.0, 100.0),
            series: all.iter().map(series).collect(),
        };
        let panels = ["a", "b"].into_iter().zip(panels).map(panel).collect();
        Figure::of("accuracy-by-iteration", "Accuracy", "", panels).unwrap()
    }

    #[test]
    fn a_column_for_each_series() {
        let numbers = figure([&[("narrow", &[99.5, 98.0]), ("wide", &[97.0])], &[("wide", &[1.0])]]).numbers();
        insta::assert_snapshot!(numbers.text(Paint::default()), @r"
        panel  iteration  narrow  wide
        a              0  99.5 %  97 %
        a              1    98 %     –

        b              0           1 %
        ");
    }

    #[test]
    fn series_of_one_name_are_all_told() {
        let numbers = figure([&[("score", &[99.5]), ("score", &[97.0])], &[("score", &[1.0])]]).numbers();
        insta::assert_snapshot!(numbers.text(Paint::default()), @r"
        panel  series  iteration   value
        a      score           0  99.5 %

        a      score           0    97 %

        b      score           0     1 %
        ");
    }
}

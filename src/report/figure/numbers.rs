//! The numbers of a figure: their text, and the table of them.

use super::series::sorted_unique;
use super::value::point_cell;
use super::{BarChart, Drawings, Figure, FigurePoint, HeatMap, Panel, Series, SeriesForm};
use crate::scores::distinct;
use crate::table::{ColumnGroup, NO_NUMBER, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// A series with more points is a curve, of which the table has only the ends.
const MAX_LISTED_POINTS: usize = 40;

/// More series are listed below each other.
const MAX_COLUMNS: usize = 12;

impl Figure {
    /// The numbers as a table.
    pub(crate) fn numbers(&self) -> ReportTable {
        match &self.drawings {
            Drawings::Panels(panels) => self.panel_numbers(panels),
            Drawings::HeatMaps(maps) => HeatMap::numbers(&self.title, maps),
            Drawings::Bars(charts) => BarChart::numbers(&self.title, charts),
        }
    }

    /// A row for each value on a panel's x axis, a column for each series. If a panel has a curve, or several series of one name, or if there
    /// are many series, each point has a row instead; curves have their ends alone.
    fn panel_numbers(&self, panels: &[Panel]) -> ReportTable {
        let named = panels.iter().flat_map(Panel::listed).filter(|series| !series.points.is_empty());
        let names = distinct(named.map(|series| series.name.as_str()));
        let columns = names.len() <= MAX_COLUMNS
            && !panels
                .iter()
                .any(|panel| panel.has_repeated_names() || panel.listed().any(is_curve));
        let x = panels.first().map_or("", |panel| &panel.x.title);
        let mut column_groups = vec![ColumnGroup::single("panel", Align::Left)];
        if columns {
            column_groups.push(ColumnGroup::single(x, Align::Right).as_label());
            column_groups.extend(names.iter().map(|name| ColumnGroup::single(name, Align::Right)));
        } else {
            column_groups.push(ColumnGroup::single("series", Align::Left));
            column_groups.push(ColumnGroup::single(x, Align::Right).as_label());
            column_groups.push(ColumnGroup::single("value", Align::Right));
        }
        let rows = panels.iter().flat_map(|panel| match columns {
            true => by_place(panel, &names),
            false => panel.listed().flat_map(|series| by_point(panel, series)).collect(),
        });
        ReportTable {
            title: self.title.clone(),
            column_groups,
            rows: rows.collect(),
        }
    }
}

impl Panel {
    /// Whether several series have the same name.
    fn has_repeated_names(&self) -> bool {
        distinct(self.listed().map(|series| &series.name)).len() < self.listed().count()
    }

    /// The series whose numbers are listed: not those that are smoothed by others.
    fn listed(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| series.form != SeriesForm::Faint)
    }
}

fn is_curve(series: &Series) -> bool {
    series.points.len() > MAX_LISTED_POINTS
}

fn by_point(panel: &Panel, series: &Series) -> Vec<TableRow> {
    let last = series.points.len().saturating_sub(1);
    let rows = series
        .points
        .iter()
        .enumerate()
        .filter(|(i, _)| !is_curve(series) || *i == 0 || *i == last);
    let row = |(i, point): (usize, &FigurePoint)| TableRow {
        cells: vec![
            TableCell::plain(&panel.title),
            TableCell::plain(&series.name),
            TableCell::plain(panel.x_text(point.x)),
            cell(panel, point),
        ],
        begins_group: i == 0,
    };
    rows.map(row).collect()
}

fn by_place(panel: &Panel, names: &[&str]) -> Vec<TableRow> {
    let places = sorted_unique(panel.listed().flat_map(|series| &series.points).map(|point| point.x));
    let named = |name: &&str| panel.listed().find(|series| series.name == **name && !series.points.is_empty());
    let row = |(i, x): (usize, &f64)| {
        let cells = names.iter().map(|name| match named(name) {
            Some(series) => series
                .at(*x)
                .map_or_else(|| TableCell::plain(NO_NUMBER), |point| cell(panel, point)),
            None => TableCell::default(),
        });
        let first = [TableCell::plain(&panel.title), TableCell::plain(panel.x_text(*x))];
        TableRow {
            cells: first.into_iter().chain(cells).collect(),
            begins_group: i == 0,
        }
    };
    places.iter().enumerate().map(row).collect()
}

fn cell(panel: &Panel, point: &FigurePoint) -> TableCell {
    point_cell(point, unit(panel))
}

/// ` %` for an axis of shares.
fn unit(panel: &Panel) -> &'static str {
    if panel.y.title.ends_with('%') { " %" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::super::SeriesStyle;
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
            entry: None,
            style: SeriesStyle::Colour(0),
            form: SeriesForm::Marked,
            points: values.iter().enumerate().map(|(x, y)| bare(x as f64, *y)).collect(),
        };
        let panel = |(title, all): (&str, &[Named<'_>])| Panel {
            title: title.to_owned(),
            x: Axis::fixed("iteration", 0.0, 2.0),
            y: Axis::fixed("answers, %", 0.0, 100.0),
            series: all.iter().map(series).collect(),
        };
        let panels = ["a", "b"].into_iter().zip(panels).map(panel).collect();
        Figure::new("accuracy-by-iteration", "Accuracy", "", panels).unwrap()
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
    fn series_of_one_name_are_all_listed() {
        let numbers = figure([&[("score", &[99.5]), ("score", &[97.0])], &[("score", &[1.0])]]).numbers();
        insta::assert_snapshot!(numbers.text(Paint::default()), @r"
        panel  series  iteration   value
        a      score           0  99.5 %

        a      score           0    97 %

        b      score           0     1 %
        ");
    }
}

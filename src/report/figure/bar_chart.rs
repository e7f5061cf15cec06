//! Bars that lie below their names, so that no name is cut.

use std::fmt::Write;

use super::axis::Axis;
use super::drawing::{Drawing, TextClass, WIDTH, cross, header, marked, text_lines};
use super::value::{point_cell, value_text};
use super::words::{width, wrapped};
use super::{FigurePoint, SeriesStyle};
use crate::table::{ColumnGroup, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// The values of a metric for each of several names.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// Distinguishes it from the others of its figure; may be empty.
    pub title: String,
    /// The axis of the values, equal in all charts of a figure.
    pub(super) values: Axis,
    pub(super) bars: Vec<Bar>,
    /// ` %` or nothing.
    pub(super) unit: &'static str,
}

/// One name with the mean and the numbers of its seeds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub name: String,
    pub mean: FigurePoint,
    pub seeds: Vec<f64>,
}

/// The edges of the bars, and where the numbers beside them begin.
const LEFT: f64 = 10.0;
const RIGHT: f64 = WIDTH - 100.0;
const NUMBERS: f64 = RIGHT + 8.0;
/// The height of a bar, of a line of its name, and of the gap to the next one.
const BAR: f64 = 10.0;
const LINE: f64 = 13.0;
const GAP: f64 = 9.0;

impl BarChart {
    pub(super) fn drawn(&self) -> Drawing {
        let (mut content, extra) = header(&[(TextClass::Head, &self.title)], LEFT);
        let top = extra + if self.title.is_empty() { 8.0 } else { 26.0 };
        let mut y = top;
        let mut bars = String::new();
        for bar in &self.bars {
            let lines = wrapped(&bar.name, TextClass::Tick.size(), WIDTH - 2.0 * LEFT);
            bars += &text_lines("name", &lines, LEFT, y + LINE - 3.0, LINE);
            y += LINE * lines.len() as f64 + 1.0;
            bars += &self.bar(bar, y);
            y += BAR + GAP;
        }
        let (axis, below) = self.axis(top, y);
        content += &(axis + &bars);
        Drawing {
            title: self.title.clone(),
            height: below,
            content,
        }
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.values.position(value) * (RIGHT - LEFT)
    }

    /// The ticks and the title below the bars, and where they end.
    fn axis(&self, top: f64, bottom: f64) -> (String, f64) {
        let (mut text, mut taken) = (String::new(), f64::NEG_INFINITY);
        for tick in self.values.ticks() {
            let x = self.across(tick.at);
            let _ = write!(text, "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>");
            let half = width(&tick.label, TextClass::Tick.size()) / 2.0;
            if x - half > taken {
                taken = x + half + 4.0;
                text += &text_lines("tick mid", &[tick.label], x.max(half), bottom + LINE, 0.0);
            }
        }
        let title = wrapped(&self.values.title, TextClass::Tick.size(), WIDTH - 2.0 * LEFT);
        text += &text_lines("tick", &title, LEFT, bottom + 2.3 * LINE, LINE);
        (text, bottom + LINE * (2.0 + title.len() as f64))
    }

    /// The bar from 0 to the mean, with a line of one deviation, the points of the seeds and the number.
    fn bar(&self, bar: &Bar, top: f64) -> String {
        let (mean, middle) = (&bar.mean, top + BAR / 2.0);
        let mut drawn = String::new();
        if mean.y.is_finite() {
            let (zero, end) = (self.across(0.0), self.across(mean.y));
            let _ = write!(
                drawn,
                "<rect class=\"bar\" opacity=\"0.55\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\"/>",
                zero.min(end),
                (end - zero).abs().max(0.5)
            );
            if let Some([low, high]) = mean.ends() {
                let (low, high) = (self.across(low), self.across(high));
                let _ = write!(drawn, "<path class=\"whisker\" d=\"M{low:.1} {middle:.1}H{high:.1}\"/>");
            }
        } else {
            drawn += &cross(self.across(mean.diverged.map_or(self.values.high, |diverged| diverged.at)), middle);
        }
        for seed in bar.seeds.iter().filter(|seed| seed.is_finite()) {
            let _ = write!(
                drawn,
                "<circle class=\"seed\" cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"2.6\"/>",
                self.across(*seed)
            );
        }
        let value = format!("{}{}", value_text(mean), if mean.y.is_finite() { self.unit } else { "" });
        let lines = wrapped(&value, TextClass::Tick.size(), WIDTH - NUMBERS);
        let first = middle + 3.5 - LINE / 2.0 * lines.len().saturating_sub(1) as f64;
        let number = text_lines("tick", &lines, NUMBERS, first, LINE);
        let style = SeriesStyle::Colour(0).class();
        let drawn = format!("<g class=\"{style}\">{drawn}</g>{number}");
        marked(mean, &format!("{}: {value}", bar.name), &drawn)
    }

    /// A row for each bar.
    pub(super) fn numbers(title: &str, charts: &[Self]) -> ReportTable {
        let value = charts.first().map_or("", |chart| &chart.values.title);
        let column_groups = vec![
            ColumnGroup::single("variant", Align::Left),
            ColumnGroup::single("n", Align::Right),
            ColumnGroup::single(value, Align::Right),
        ];
        let rows = charts.iter().flat_map(|chart| {
            chart.bars.iter().map(|bar| TableRow {
                cells: vec![
                    TableCell::plain(&bar.name),
                    TableCell::plain(bar.seeds.len().to_string()),
                    point_cell(&bar.mean, chart.unit),
                ],
                begins_group: false,
            })
        });
        ReportTable {
            title: title.to_owned(),
            rows: rows.collect(),
            column_groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::bare;
    use super::super::{Divergence, Spread};
    use super::*;

    fn chart(name: &str) -> BarChart {
        let mean = FigurePoint {
            spread: Some(Spread::Deviation(0.1)),
            ..bare(0.0, 0.5)
        };
        let diverged = FigurePoint {
            diverged: Some(Divergence { count: 1, of: 2, at: 1.0 }),
            ..bare(0.0, f64::NAN)
        };
        let bar = |name: &str, mean, seeds: &[f64]| Bar {
            name: name.to_owned(),
            mean,
            seeds: seeds.to_vec(),
        };
        BarChart {
            title: String::new(),
            values: Axis::fixed("accuracy", 0.0, 1.0),
            bars: vec![bar(name, mean, &[0.4, 0.6]), bar("optimizer=sgd", diverged, &[0.3, f64::NAN])],
            unit: "",
        }
    }

    #[test]
    fn names_of_any_length_are_there_in_full() {
        let name = "optimizer=adam, schedule=cosine_with_warm_restarts, augmentation=none, dataset=imagenet";
        let drawing = chart(name).drawn();
        let short = chart("optimizer=adam").drawn();
        assert!(drawing.height > short.height, "a line more");
        for word in name.split(' ') {
            assert!(drawing.content.contains(word), "{word}");
        }
        assert_eq!(
            drawing.content.matches("class=\"seed\"").count(),
            3,
            "points for the seeds that are numbers"
        );
        assert_eq!(drawing.content.matches("class=\"cross\"").count(), 1);
        assert!(drawing.content.contains(">0.50 ± 0.10<"), "{}", drawing.content);
    }

    #[test]
    fn each_bar_has_a_row() {
        let numbers = BarChart::numbers("Accuracy", &[chart("optimizer=adam")]);
        let texts = |row: usize| numbers.rows[row].cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>();
        assert_eq!(texts(0), ["optimizer=adam", "2", "0.50 ± 0.10"]);
        assert_eq!(texts(1), ["optimizer=sgd", "2", "– (1 of 2 diverged)"]);
    }
}

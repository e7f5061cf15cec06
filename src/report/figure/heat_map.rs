//! Heat maps: a colour and a number for each pair of values.

use std::fmt::Write;

use super::FigurePoint;
use super::axis::ends;
use super::drawing::{Drawing, TextClass, WIDTH, cross, header, marked, text_lines};
use super::value::{number, point_cell, value_text};
use super::words::{width, wrapped};
use crate::escape;
use crate::table::{ColumnGroup, NO_NUMBER, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// The values of a metric over two axes.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Distinguishes it from the others of its figure; may be empty.
    pub title: String,
    pub(super) rows: HeatAxis,
    pub(super) columns: HeatAxis,
    /// By row and column; `None` where there is no value.
    pub(super) cells: Vec<Vec<Option<FigurePoint>>>,
    pub(super) scale: HeatScale,
    /// ` %` or nothing.
    pub(super) unit: &'static str,
}

/// One of the two axes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeatAxis {
    pub title: String,
    pub values: Vec<String>,
}

/// The colours of all maps of a figure, from the least to the greatest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HeatScale {
    pub low: f64,
    pub high: f64,
    pub is_log: bool,
}

/// The colours cividis: their lightness grows evenly, so that they can be told apart in grey and with any vision of colours.
const COLOURS: [[u8; 3]; 9] = [
    [0x00, 0x22, 0x4e],
    [0x12, 0x35, 0x70],
    [0x3b, 0x49, 0x6c],
    [0x57, 0x5d, 0x6d],
    [0x7c, 0x7b, 0x78],
    [0x93, 0x8e, 0x77],
    [0xb2, 0xa6, 0x6f],
    [0xd3, 0xc1, 0x5f],
    [0xfe, 0xe8, 0x38],
];

/// Where the map ends on the right, and the room between its parts.
const RIGHT: f64 = WIDTH - 12.0;
const GAP: f64 = 6.0;
/// The widest column of names.
const MAX_NAMES: f64 = 120.0;
const FONT: f64 = 11.0;
const LINE: f64 = 14.0;

impl HeatScale {
    /// Over all finite values.
    pub(super) fn over(values: impl Iterator<Item = f64>, is_log: bool) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 0.0));
        let is_log = is_log && low > 0.0;
        Self { low, high, is_log }
    }

    fn share(&self, value: f64) -> f64 {
        let share = if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // Equal values have the middle.
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// A value with as many decimals as the others have: two digits tell neighbours on the scale apart.
    fn text(&self, value: f64) -> String {
        let span = if self.is_log { self.low } else { self.high - self.low };
        if !(1e-4..1e6).contains(&span) {
            return number(value);
        }
        let decimals = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{value:.decimals$}")
    }

    fn value(&self, share: f64) -> f64 {
        if self.is_log {
            self.low * (self.high / self.low).powf(share)
        } else {
            self.low + share * (self.high - self.low)
        }
    }
}

/// `#00224e` for 0, `#fee838` for 1.
fn colour(share: f64) -> String {
    let place = share * (COLOURS.len() - 1) as f64;
    let (from, to) = (place.floor() as usize, place.ceil() as usize);
    let (from, to) = (COLOURS[from.min(COLOURS.len() - 1)], COLOURS[to.min(COLOURS.len() - 1)]);
    let mix = |i: usize| {
        let (from, to) = (f64::from(from[i]), f64::from(to[i]));
        (from + (to - from) * place.fract()).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// The class of a text on this colour.
fn text_class(share: f64) -> &'static str {
    if share < 0.45 { "on-dark" } else { "on-light" }
}

/// The places of the cells of one map.
struct Grid {
    left: f64,
    top: f64,
    column: f64,
    row: f64,
}

impl HeatMap {
    pub(super) fn drawn(&self) -> Drawing {
        let axes = format!("rows: {}, columns: {}", self.rows.title, self.columns.title);
        let (mut content, extra) = header(&[(TextClass::Head, &self.title), (TextClass::Tick, &axes)], GAP);
        let grid = self.grid(26.0 + extra);
        content += &self.names(&grid);
        for (y, row) in self.cells.iter().enumerate() {
            for (x, cell) in row.iter().enumerate() {
                content += &self.cell(&grid, x, y, cell.as_ref());
            }
        }
        let (names, below) = self.column_names(&grid);
        let (scale, height) = self.legend(grid.left, below + 8.0);
        content += &(names + &scale);
        Drawing {
            title: self.title.clone(),
            height: below + 8.0 + height,
            content,
        }
    }

    fn grid(&self, top: f64) -> Grid {
        let names = self.rows.values.iter().map(|name| width(name, FONT)).fold(0.0, f64::max);
        let left = GAP + names.min(MAX_NAMES) + GAP;
        let rows = self.rows.values.iter();
        let lines = rows.map(|name| wrapped(name, FONT, MAX_NAMES).len()).max().unwrap_or(1);
        let room = if self.rows.values.len() > 12 { 18.0 } else { 24.0f64 };
        Grid {
            left,
            top,
            column: (RIGHT - left) / self.columns.values.len().max(1) as f64,
            row: room.max(LINE * lines as f64 + 4.0),
        }
    }

    /// The names of the rows.
    fn names(&self, grid: &Grid) -> String {
        let name = |(y, name): (usize, &String)| {
            let lines = wrapped(name, FONT, MAX_NAMES);
            let middle = grid.top + grid.row * (y as f64 + 0.5);
            let first = middle + 3.5 - LINE / 2.0 * lines.len().saturating_sub(1) as f64;
            text_lines("tick end", &lines, grid.left - GAP, first, LINE)
        };
        self.rows.values.iter().enumerate().map(name).collect()
    }

    /// The names of the columns, upright where one is wider than its column; and where they end.
    fn column_names(&self, grid: &Grid) -> (String, f64) {
        let bottom = grid.top + grid.row * self.cells.len() as f64;
        let widest = self.columns.values.iter().map(|name| width(name, FONT)).fold(0.0, f64::max);
        let upright = widest > grid.column - 4.0;
        let name = |(x, name): (usize, &String)| {
            let middle = grid.left + grid.column * (x as f64 + 0.5);
            let place = if upright {
                format!(
                    "class=\"tick end\" transform=\"translate({:.1} {:.1}) rotate(-90)\"",
                    middle + 3.5,
                    bottom + GAP
                )
            } else {
                format!("class=\"tick mid\" x=\"{middle:.1}\" y=\"{:.1}\"", bottom + LINE)
            };
            format!("<text {place}>{}</text>", escape::html(name))
        };
        let names = self.columns.values.iter().enumerate().map(name).collect();
        (names, bottom + if upright { GAP + widest } else { LINE + 4.0 })
    }

    fn cell(&self, grid: &Grid, x: usize, y: usize, point: Option<&FigurePoint>) -> String {
        let (left, top) = (grid.left + grid.column * x as f64, grid.top + grid.row * y as f64);
        let (wide, high) = ((grid.column - 1.0).max(1.0), grid.row - 1.0);
        let place = format!("x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{high:.1}\"");
        let Some(point) = point else {
            return format!("<rect class=\"empty\" {place}/>");
        };
        let text = |class: &str, text: &str| {
            let fits = width(text, 10.5) <= grid.column - 3.0;
            let (x, y) = (left + wide / 2.0, top + high / 2.0 + 3.5);
            let drawn = || {
                format!(
                    "<text class=\"cell {class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
                    escape::html(text)
                )
            };
            if fits { drawn() } else { String::new() }
        };
        let drawn = if point.y.is_finite() {
            let share = self.scale.share(point.y);
            format!("<rect class=\"tile\" fill=\"{}\" {place}/>", colour(share)) + &text(text_class(share), &self.scale.text(point.y))
        } else {
            format!("<rect class=\"empty\" {place}/>") + &cross(left + wide / 2.0, top + high / 2.0)
        };
        marked(point, &self.cell_name(x, y, point), &drawn)
    }

    /// `depth=2, width=16: 0.81 ± 0.02`
    fn cell_name(&self, x: usize, y: usize, point: &FigurePoint) -> String {
        let part = |axis: &HeatAxis, i: usize| format!("{}={}", axis.title, axis.values.get(i).map_or("", String::as_str));
        format!("{}, {}: {}", part(&self.rows, y), part(&self.columns, x), value_text(point))
    }

    /// The colours with their numbers, and the height.
    fn legend(&self, left: f64, top: f64) -> (String, f64) {
        const STEPS: usize = 24;
        let mut text = String::new();
        let step = (RIGHT - left) / STEPS as f64;
        for i in 0..STEPS {
            let share = (i as f64 + 0.5) / STEPS as f64;
            let _ = write!(
                text,
                "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"8\" fill=\"{}\"/>",
                left + step * i as f64,
                step + 0.3,
                colour(share)
            );
        }
        let places = [
            (0.0, "tick", left),
            (0.5, "tick mid", f64::midpoint(left, RIGHT)),
            (1.0, "tick end", RIGHT),
        ];
        for (share, class, x) in places {
            let label = format!("{}{}", self.scale.text(self.scale.value(share)), self.unit);
            text += &text_lines(class, &[label], x, top + 21.0, 0.0);
        }
        (text, 30.0)
    }

    /// A row for each row of each map, with a column for each of theirs.
    pub(super) fn numbers(title: &str, maps: &[Self]) -> ReportTable {
        let Some(first) = maps.first() else {
            return ReportTable::default();
        };
        let titles: Vec<&str> = first.columns.values.iter().map(String::as_str).collect();
        let column_groups = vec![
            ColumnGroup::single("panel", Align::Left),
            ColumnGroup::single(&first.rows.title, Align::Left),
            ColumnGroup::new(&first.columns.title, &titles, Align::Right),
        ];
        let rows = maps.iter().flat_map(|map| {
            map.cells.iter().enumerate().map(|(y, row)| {
                let name = map.rows.values.get(y).map_or("", String::as_str);
                let mut cells = vec![TableCell::plain(&map.title), TableCell::plain(name)];
                cells.extend(row.iter().map(|cell| match cell {
                    Some(point) => point_cell(point, map.unit),
                    None => TableCell::plain(NO_NUMBER),
                }));
                TableRow {
                    cells,
                    begins_group: y == 0,
                }
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
    use super::*;

    fn map() -> HeatMap {
        let axis = |title: &str, values: &[&str]| HeatAxis {
            title: title.to_owned(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        HeatMap {
            title: "depth=2".to_owned(),
            rows: axis("lr", &["0.001", "0.01"]),
            columns: axis("width", &["1", "16"]),
            cells: vec![vec![Some(bare(0.0, 0.25)), None], vec![Some(bare(0.0, 0.5)), Some(bare(0.0, 0.75))]],
            scale: HeatScale::over([0.25, 0.5, 0.75].into_iter(), false),
            unit: "",
        }
    }

    #[test]
    fn colours_run_from_dark_to_light() {
        assert_eq!(
            (colour(0.0), colour(0.5), colour(1.0)),
            ("#00224e".into(), "#7c7b78".into(), "#fee838".into())
        );
        let lightness = |share: f64| {
            let text = colour(share);
            let part = |at: usize| f64::from(u8::from_str_radix(&text[at..at + 2], 16).unwrap());
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let steps: Vec<f64> = (0..=40).map(|i| lightness(f64::from(i) / 40.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]), "{steps:?}");
    }

    #[test]
    fn a_scale_has_its_ends_and_equal_values_the_middle() {
        let scale = HeatScale::over([1.0, f64::NAN, 100.0].into_iter(), true);
        assert!((scale.share(10.0) - 0.5).abs() < 1e-9 && (scale.value(0.5) - 10.0).abs() < 1e-9);
        assert_eq!(HeatScale::over([3.0].into_iter(), false).share(3.0), 0.5);
        assert_eq!(HeatScale::over(std::iter::empty(), true).share(3.0), 0.5);
    }

    #[test]
    fn every_cell_has_its_number() {
        let drawing = map().drawn();
        for number in [
            ">0.25<",
            ">0.50<",
            ">0.75<",
            ">0.001<",
            ">16<",
            ">depth=2<",
            "lr=0.01, width=16: 0.75",
        ] {
            assert!(drawing.content.contains(number), "{number}: {}", drawing.content);
        }
        let numbers = HeatMap::numbers("Accuracy", &[map()]);
        let titles: Vec<&str> = numbers.columns().map(|(_, column)| column.title.as_str()).collect();
        assert_eq!(titles, ["panel", "lr", "1", "16"]);
        let texts: Vec<&str> = numbers.rows[0].cells.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(texts, ["depth=2", "0.001", "0.25", "–"]);
    }
}

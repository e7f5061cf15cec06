//! Panels and figures as SVG.
//!
//! Colours are classes (`s0`, `s1` …, `ref`): the page gives them colours for light and dark, a file of its own brings them along.

use std::fmt::Write;

use super::axis::{Axis, Scale};
use super::legend::{Entry, entries};
use super::{Figure, Form, Panel, Point, Series, Spread, Style};
use crate::escaped;

/// Of one panel, in SVG's pixels.
const WIDTH: f64 = 348.0;
const HEIGHT: f64 = 236.0;
/// The place of the axes within it.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 328.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 194.0;

/// Of a figure in a file.
const COLUMNS: usize = 3;
const HEAD: f64 = 34.0;
const LEGEND_LINE: f64 = 20.0;

/// How many colours there are; after them they come again.
pub(super) const COLOURS: usize = 8;

/// What shapes look like, in the page and in files.
pub(crate) const SHAPES: &str = include_str!("shapes.css");

/// The colours in files: those of the light page.
const FILE_COLOURS: &str = include_str!("colours.css");

impl Style {
    /// The class that gives the colour.
    pub(super) fn class(self) -> String {
        match self {
            Self::Colour(i) => format!("s{}", i % COLOURS),
            Self::Reference => "ref".to_owned(),
            Self::Full => "ref full".to_owned(),
        }
    }
}

impl Panel {
    /// The panel alone, for the page. Its title is what is read out.
    pub(crate) fn svg(&self, figure: &str) -> String {
        let title = match self.title.as_str() {
            "" => figure.to_owned(),
            title => format!("{figure}: {title}"),
        };
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>{1}</svg>\n",
            escaped(&title),
            self.drawing()
        )
    }

    fn drawing(&self) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            let _ = write!(text, "<text class=\"head\" x=\"{LEFT}\" y=\"16\">{}</text>", escaped(&self.title));
        }
        text += &self.axes();
        let bars = self.series.iter().filter(|series| series.form == Form::Bars).count();
        // What is compared with lies below what is compared.
        for (i, series) in self.series.iter().enumerate() {
            if series.style.is_grey() {
                text += &self.series(series, i, bars);
            }
        }
        for (i, series) in self.series.iter().enumerate() {
            if !series.style.is_grey() {
                text += &self.series(series, i, bars);
            }
        }
        text
    }

    fn axes(&self) -> String {
        let mut text = String::new();
        for tick in self.y.ticks() {
            let y = down(&self.y, tick.at);
            let _ = write!(
                text,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"tick end\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                LEFT - 6.0,
                y + 3.5,
                escaped(&tick.label)
            );
        }
        for tick in self.x.ticks() {
            let x = across(&self.x, tick.at);
            let _ = write!(
                text,
                "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v4\"/><text class=\"tick mid\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                BOTTOM + 16.0,
                escaped(&tick.label)
            );
        }
        let (middle, height) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        let _ = write!(
            text,
            "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/><text class=\"tick mid\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
             <text class=\"tick mid\" transform=\"translate(10 {height}) rotate(-90)\">{}</text>",
            BOTTOM + 34.0,
            escaped(&self.x.title),
            escaped(&self.y.title)
        );
        text
    }

    fn series(&self, series: &Series, place: usize, bars: usize) -> String {
        let points: Vec<&Point> = series
            .points
            .iter()
            .filter(|point| point.x.is_finite() && point.y.is_finite())
            .collect();
        let mut text = format!("<g class=\"{}\">", series.style.class());
        match series.form {
            Form::Bars => points.iter().for_each(|point| text += &self.bar(series, point, place, bars)),
            Form::Line => {
                text += &self.band(&points);
                let mut line = self.line(&points);
                // Where all points are of one stage (or of one mean), the line leads there.
                if let Some(point) = points.last().filter(|point| !point.sources.is_empty()) {
                    line = marked(point, &series.name, &line);
                }
                text += &line;
            }
            Form::Marked => {
                text += &self.band(&points);
                text += &self.line(&points);
                for point in &points {
                    text += &self.mark(series, point);
                }
            }
        }
        text + "</g>"
    }

    fn at(&self, x: f64, y: f64) -> String {
        format!("{:.1} {:.1}", across(&self.x, x), down(&self.y, y))
    }

    fn line(&self, points: &[&Point]) -> String {
        let places: Vec<String> = points.iter().map(|point| self.at(point.x, point.y)).collect();
        if places.len() < 2 {
            String::new()
        } else {
            format!("<path class=\"line\" d=\"M{}\"/>", places.join("L"))
        }
    }

    /// One deviation above and below the means.
    fn band(&self, points: &[&Point]) -> String {
        let deviating: Vec<(f64, [f64; 2])> = points.iter().filter_map(|point| Some((point.x, point.ends()?))).collect();
        if deviating.len() < 2 {
            return String::new();
        }
        let above = deviating.iter().map(|(x, [_, high])| self.at(*x, *high));
        let below = deviating.iter().rev().map(|(x, [low, _])| self.at(*x, *low));
        format!(
            "<path class=\"band\" d=\"M{}Z\"/>",
            above.chain(below).collect::<Vec<_>>().join("L")
        )
    }

    /// The deviation as a bar from end to end.
    fn whisker(&self, x: f64, point: &Point) -> String {
        let bar = |[low, high]: [f64; 2]| format!("<path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>");
        let ends = point.ends().map(|ends| ends.map(|end| down(&self.y, end)));
        ends.map_or_else(String::new, bar)
    }

    fn mark(&self, series: &Series, point: &Point) -> String {
        let shape = match series.style {
            Style::Colour(i) => shape(i),
            Style::Reference | Style::Full => shape(0),
        };
        let (x, y) = (across(&self.x, point.x), down(&self.y, point.y));
        let drawn = format!("<path class=\"mark\" transform=\"translate({x:.1} {y:.1})\" d=\"{shape}\"/>");
        let name = self.point_name(series, point);
        self.whisker(x, point)
            + &marked(
                point,
                &name,
                &format!("<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>{drawn}"),
            )
    }

    fn bar(&self, series: &Series, point: &Point, place: usize, bars: usize) -> String {
        let slot = (RIGHT - LEFT) / (self.x.high - self.x.low) * 0.8;
        let width = slot / bars.max(1) as f64;
        let left = across(&self.x, point.x) - slot / 2.0 + width * place as f64;
        let top = down(&self.y, point.y);
        let drawn = format!(
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            (width - 0.5).max(0.5),
            (BOTTOM - top).max(0.0)
        );
        marked(
            point,
            &self.point_name(series, point),
            &(drawn + &self.whisker(left + width / 2.0, point)),
        )
    }

    /// `warm start, iteration 2: 98.6 ± 0.1`
    fn point_name(&self, series: &Series, point: &Point) -> String {
        format!("{}, {} {}: {}", series.name, self.x.title, number(point.x), value(point))
    }
}

/// A drawing that has a name and leads to the point's stages.
fn marked(point: &Point, name: &str, drawn: &str) -> String {
    let stages: Vec<String> = point.sources.iter().map(ToString::to_string).collect();
    let attribute = if stages.is_empty() {
        String::new()
    } else {
        format!(" data-stages=\"{}\"", stages.join(" "))
    };
    format!("<g{attribute}><title>{}</title>{drawn}</g>", escaped(name))
}

/// `98.6 ± 0.1`: as many decimals as the greater of both has; `0.012 ×÷ 1.3`
pub(super) fn value(point: &Point) -> String {
    match point.spread {
        Some(Spread::Deviation(deviation)) => {
            let decimals = decimals(point.y.abs().max(deviation));
            format!("{:.decimals$} ± {deviation:.decimals$}", point.y)
        }
        Some(Spread::Factor(factor)) => format!("{} ×÷ {}", number(point.y), number(factor)),
        None => number(point.y),
    }
}

/// How many decimals of a number help.
fn decimals(number: f64) -> usize {
    match number.abs() {
        0.0 => 0,
        ..0.1 => 4,
        ..10.0 => 2,
        ..1000.0 => 1,
        _ => 0,
    }
}

/// Three figures at least, but two where it is next to nothing, and no zeros at the end.
pub(super) fn number(number: f64) -> String {
    if number != 0.0 && number.abs() < 1e-4 {
        return format!("{number:.1e}");
    }
    let decimals = decimals(number);
    let text = format!("{number:.decimals$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Circle, square, diamond, triangles: so that colours are not all that tells series apart.
fn shape(i: usize) -> &'static str {
    match i % 5 {
        0 => "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0 -7.2 0Z",
        1 => "M-3.2 -3.2H3.2V3.2H-3.2Z",
        2 => "M0 -4.6L4.6 0L0 4.6L-4.6 0Z",
        3 => "M0 -4.2L4.2 3.2H-4.2Z",
        _ => "M0 4.2L4.2 -3.2H-4.2Z",
    }
}

fn across(axis: &Axis, x: f64) -> f64 {
    // Marks at the ends have room; bars bring half a step of their own.
    let inset = if axis.scale == Scale::Whole { 0.0 } else { 4.0 };
    LEFT + inset + axis.place(x) * (RIGHT - LEFT - 2.0 * inset)
}

fn down(axis: &Axis, y: f64) -> f64 {
    BOTTOM - axis.place(y) * (BOTTOM - TOP)
}

/// What shows an entry's colour and mark.
pub(super) fn swatch(entry: &Entry<'_>, x: f64, y: f64) -> String {
    let drawn = match (entry.form, entry.style) {
        (Form::Bars, _) => "<rect class=\"bar\" x=\"4\" y=\"-5\" width=\"12\" height=\"10\"/>".to_owned(),
        (Form::Marked, Style::Colour(i)) => format!(
            "<path class=\"line\" d=\"M0 0H20\"/><path class=\"mark\" transform=\"translate(10 0)\" d=\"{}\"/>",
            shape(i)
        ),
        _ => "<path class=\"line\" d=\"M0 0H20\"/>".to_owned(),
    };
    format!("<g class=\"{}\" transform=\"translate({x} {y})\">{drawn}</g>", entry.style.class())
}

impl Figure {
    /// The figure as a file of its own, in the colours of the light page.
    pub fn svg(&self) -> String {
        let columns = self.panels.len().min(COLUMNS);
        let lines = self.panels.len().div_ceil(columns.max(1));
        let width = WIDTH * columns as f64;
        let (legend, legend_height) = self.legend(width, HEAD + HEIGHT * lines as f64 + 12.0);
        let height = HEAD + HEIGHT * lines as f64 + legend_height + 16.0;
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <title>{0}</title>\n<style>\n{FILE_COLOURS}{SHAPES}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             <text class=\"headline\" x=\"{LEFT}\" y=\"24\">{0}</text>\n",
            escaped(self.title)
        );
        for (i, panel) in self.panels.iter().enumerate() {
            let (x, y) = (WIDTH * (i % columns) as f64, HEAD + HEIGHT * (i / columns) as f64);
            let _ = writeln!(text, "<g transform=\"translate({x} {y})\">{}</g>", panel.drawing());
        }
        text + &legend + "</svg>\n"
    }

    /// The legend from `top` on, wrapped at `width`, and its height.
    fn legend(&self, width: f64, top: f64) -> (String, f64) {
        let (mut text, mut x, mut y) = (String::new(), LEFT, top);
        for entry in entries(self) {
            // About what a name takes; nothing measures text here.
            let needs = 44.0 + 6.4 * entry.name.chars().count() as f64;
            if x > LEFT && x + needs > width {
                (x, y) = (LEFT, y + LEGEND_LINE);
            }
            text += &swatch(&entry, x, y);
            let _ = writeln!(
                text,
                "<text class=\"tick\" x=\"{}\" y=\"{}\">{}</text>",
                x + 26.0,
                y + 3.5,
                escaped(entry.name)
            );
            x += needs;
        }
        (text, y - top + LEGEND_LINE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::bare;
    use super::*;

    #[test]
    fn numbers_have_as_many_figures_as_help() {
        assert_eq!(
            [0.0, 0.01234, 2.5, 98.64, 1234.5].map(number),
            ["0", "0.0123", "2.5", "98.6", "1234"]
        );
        let with = |y, deviation| {
            let spread = Some(Spread::Deviation(deviation));
            value(&Point { spread, ..bare(0.0, y) })
        };
        assert_eq!(with(99.96, 0.03), "100.0 ± 0.0");
        assert_eq!(with(7104.2, 3.5), "7104 ± 4");
        assert_eq!(with(0.0, 0.0), "0 ± 0");
        assert_eq!(with(1.4756, 0.0041), "1.48 ± 0.00");
    }
}

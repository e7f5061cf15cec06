//! Panels and figures as SVG.
//!
//! Colours are classes (`s0`, `s1` …, `ref`). The page defines them for light and dark; a file defines them itself.

use std::fmt::Write;

use super::axis::{Axis, Scale};
use super::legend::{entries, swatch};
use super::numbers::{number, value_text};
use super::style::shape;
use super::{Figure, FigurePoint, Panel, Series, SeriesForm, SeriesStyle};
use crate::escape;

/// The size of a panel in pixels.
const WIDTH: f64 = 348.0;
const HEIGHT: f64 = 236.0;
/// The edges of the axes within a panel.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 328.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 194.0;

/// The layout of a figure's file: panels in a line, and the height of the headline and of a line of the legend.
const COLUMNS: usize = 3;
const HEAD: f64 = 34.0;
const LEGEND_LINE: f64 = 20.0;

/// The style of the shapes, for the page and for files.
pub(crate) const SHAPES: &str = include_str!("shapes.css");

/// The colours in files, as in the light page.
const FILE_COLOURS: &str = include_str!("colours.css");

impl Panel {
    /// The panel alone, for the page. Screen readers read its title.
    pub(crate) fn svg(&self, figure: &str) -> String {
        let title = match self.title.as_str() {
            "" => figure.to_owned(),
            title => format!("{figure}: {title}"),
        };
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title>{1}</svg>\n",
            escape::html(&title),
            self.drawing()
        )
    }

    fn drawing(&self) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            let _ = write!(
                text,
                "<text class=\"head\" x=\"{LEFT}\" y=\"16\">{}</text>",
                escape::html(&self.title)
            );
        }
        text += &self.axes();
        let bars = self.series.iter().filter(|series| series.form == SeriesForm::Bars).count();
        // References lie below the other series.
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
                escape::html(&tick.label)
            );
        }
        for tick in self.x.ticks() {
            let x = across(&self.x, tick.at);
            let _ = write!(
                text,
                "<path class=\"axis\" d=\"M{x:.1} {BOTTOM}v4\"/><text class=\"tick mid\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                BOTTOM + 16.0,
                escape::html(&tick.label)
            );
        }
        let (middle, height) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
        let _ = write!(
            text,
            "<path class=\"axis\" d=\"M{LEFT} {BOTTOM}H{RIGHT}\"/><text class=\"tick mid\" x=\"{middle}\" y=\"{:.1}\">{}</text>\
             <text class=\"tick mid\" transform=\"translate(10 {height}) rotate(-90)\">{}</text>",
            BOTTOM + 34.0,
            escape::html(&self.x.title),
            escape::html(&self.y.title)
        );
        text
    }

    fn series(&self, series: &Series, place: usize, bars: usize) -> String {
        let points: Vec<&FigurePoint> = series
            .points
            .iter()
            .filter(|point| point.x.is_finite() && point.y.is_finite())
            .collect();
        let mut text = format!("<g class=\"{}\">", series.style.class());
        match series.form {
            SeriesForm::Bars => points.iter().for_each(|point| text += &self.bar(series, point, place, bars)),
            SeriesForm::Line => {
                text += &self.band(&points);
                let mut line = self.line(&points);
                // All points of a line come from the same stages, so the line opens them.
                if let Some(point) = points.last().filter(|point| !point.nodes.is_empty()) {
                    line = marked(point, &series.name, &line);
                }
                text += &line;
            }
            SeriesForm::Marked => {
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

    fn line(&self, points: &[&FigurePoint]) -> String {
        let places: Vec<String> = points.iter().map(|point| self.at(point.x, point.y)).collect();
        if places.len() < 2 {
            String::new()
        } else {
            format!("<path class=\"line\" d=\"M{}\"/>", places.join("L"))
        }
    }

    /// One deviation above and below the means.
    fn band(&self, points: &[&FigurePoint]) -> String {
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

    /// The deviation as a line from end to end.
    fn whisker(&self, x: f64, point: &FigurePoint) -> String {
        let bar = |[low, high]: [f64; 2]| format!("<path class=\"whisker\" d=\"M{x:.1} {low:.1}V{high:.1}\"/>");
        let ends = point.ends().map(|ends| ends.map(|end| down(&self.y, end)));
        ends.map_or_else(String::new, bar)
    }

    fn mark(&self, series: &Series, point: &FigurePoint) -> String {
        let shape = match series.style {
            SeriesStyle::Colour(i) => shape(i),
            SeriesStyle::Reference | SeriesStyle::Full => shape(0),
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

    fn bar(&self, series: &Series, point: &FigurePoint, place: usize, bars: usize) -> String {
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
    fn point_name(&self, series: &Series, point: &FigurePoint) -> String {
        format!("{}, {} {}: {}", series.name, self.x.title, number(point.x), value_text(point))
    }
}

/// A drawing with a name that opens the stages of the point.
fn marked(point: &FigurePoint, name: &str, drawn: &str) -> String {
    let stages: Vec<String> = point.nodes.iter().map(ToString::to_string).collect();
    let attribute = if stages.is_empty() {
        String::new()
    } else {
        format!(" data-stages=\"{}\"", stages.join(" "))
    };
    format!("<g{attribute}><title>{}</title>{drawn}</g>", escape::html(name))
}

fn across(axis: &Axis, x: f64) -> f64 {
    // Marks at the ends need room; whole axes have half a step of it.
    let inset = if axis.scale == Scale::Whole { 0.0 } else { 4.0 };
    LEFT + inset + axis.position(x) * (RIGHT - LEFT - 2.0 * inset)
}

fn down(axis: &Axis, y: f64) -> f64 {
    BOTTOM - axis.position(y) * (BOTTOM - TOP)
}

impl Figure {
    /// The figure as a file, in the colours of the light page.
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
            escape::html(self.title)
        );
        for (i, panel) in self.panels.iter().enumerate() {
            let (x, y) = (WIDTH * (i % columns) as f64, HEAD + HEIGHT * (i / columns) as f64);
            let _ = writeln!(text, "<g transform=\"translate({x} {y})\">{}</g>", panel.drawing());
        }
        text + &legend + "</svg>\n"
    }

    /// The legend at `top`, wrapped at `width`, and its height.
    fn legend(&self, width: f64, top: f64) -> (String, f64) {
        let (mut text, mut x, mut y) = (String::new(), LEFT, top);
        for entry in entries(self) {
            // An estimate of the width of the name: text is not measured here.
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
                escape::html(entry.name)
            );
            x += needs;
        }
        (text, y - top + LEGEND_LINE)
    }
}

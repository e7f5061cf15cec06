//! Figures as SVG: drawings of one width, below and beside each other.
//!
//! Colours are classes (`s0`, `s1` …, `ref`). The page defines them for light and dark; a file defines them itself.

use std::fmt::Write;

use super::legend::{entries, swatch};
use super::words::{width, wrapped};
use super::{BarChart, Drawings, Figure, FigurePoint, HeatMap, Panel};
use crate::escape;

/// The width of a drawing in pixels.
pub(super) const WIDTH: f64 = 348.0;
/// Where the headline and the legend begin.
const LEFT: f64 = 56.0;

/// The layout of a figure's file: drawings in a line, and the height of the headline and of a line of the legend.
const COLUMNS: usize = 3;
const HEAD: f64 = 34.0;
const LEGEND_LINE: f64 = 20.0;

/// The style of the shapes, for the page and for files.
pub(crate) const SHAPES: &str = include_str!("shapes.css");

/// The colours in files, as in the light page.
const FILE_COLOURS: &str = include_str!("colours.css");

/// One drawing of a figure.
pub(super) struct Drawing {
    /// Distinguishes it from the others; may be empty.
    pub title: String,
    pub height: f64,
    pub content: String,
}

/// The texts of a drawing, by their class in the style.
#[derive(Clone, Copy)]
pub(super) enum TextClass {
    Head,
    Tick,
}

impl TextClass {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Tick => "tick",
        }
    }

    /// The size of the font, in pixels; bold text counts as a little larger.
    pub fn size(self) -> f64 {
        match self {
            Self::Head => 12.5,
            Self::Tick => 11.0,
        }
    }

    /// The height of a line.
    pub fn line(self) -> f64 {
        self.size() + 3.0
    }
}

impl Drawing {
    /// The drawing alone, for the page. Screen readers read its title.
    pub fn svg(&self, figure: &str) -> String {
        let title = match self.title.as_str() {
            "" => figure.to_owned(),
            title => format!("{figure}: {title}"),
        };
        format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{1}\"><title>{1}</title>{2}</svg>\n",
            self.height,
            escape::html(&title),
            self.content
        )
    }

    /// `content`, further down by this number of pixels.
    pub fn moved_down(content: &str, pixels: f64) -> String {
        if pixels == 0.0 {
            content.to_owned()
        } else {
            format!("<g transform=\"translate(0 {pixels})\">{content}</g>")
        }
    }
}

/// The texts above a drawing from `left` to its right edge, each in as many lines as it needs; and the room that they take beyond one line.
pub(super) fn header(texts: &[(TextClass, &str)], left: f64) -> (String, f64) {
    let (mut drawn, mut y, mut last) = (String::new(), 16.0, 16.0);
    for (class, text) in texts {
        for line in wrapped(text, class.size(), WIDTH - left) {
            drawn += &text_lines(class.name(), &[line], left, y, 0.0);
            last = y;
            y += class.line();
        }
    }
    (drawn, last - 16.0)
}

/// Lines of text below each other.
pub(super) fn text_lines(class: &str, lines: &[String], x: f64, y: f64, height: f64) -> String {
    let line = |(i, line): (usize, &String)| {
        format!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{:.1}\">{}</text>",
            y + height * i as f64,
            escape::html(line)
        )
    };
    lines.iter().enumerate().map(line).collect()
}

/// A drawing with a name that opens the stages of the point.
pub(super) fn marked(point: &FigurePoint, name: &str, drawn: &str) -> String {
    let stages: Vec<String> = point.nodes.iter().map(ToString::to_string).collect();
    let attribute = if stages.is_empty() {
        String::new()
    } else {
        format!(" data-stages=\"{}\"", stages.join(" "))
    };
    format!("<g{attribute}><title>{}</title>{drawn}</g>", escape::html(name))
}

/// The mark of what diverged.
pub(super) fn cross(x: f64, y: f64) -> String {
    format!(
        "<circle class=\"hit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>\
         <path class=\"cross\" transform=\"translate({x:.1} {y:.1})\" d=\"M-4 -4L4 4M-4 4L4 -4\"/>"
    )
}

impl Figure {
    /// All drawings.
    pub(super) fn drawn(&self) -> Vec<Drawing> {
        match &self.drawings {
            Drawings::Panels(panels) => panels.iter().map(Panel::drawn).collect(),
            Drawings::HeatMaps(maps) => maps.iter().map(HeatMap::drawn).collect(),
            Drawings::Bars(charts) => charts.iter().map(BarChart::drawn).collect(),
        }
    }

    /// The figure as a file, in the colours of the light page.
    pub fn svg(&self) -> String {
        let drawings = self.drawn();
        let columns = drawings.len().clamp(1, COLUMNS);
        let width = WIDTH * columns as f64;
        let headline = wrapped(&self.title, 17.0, width - LEFT);
        let mut top = HEAD + 20.0 * headline.len().saturating_sub(1) as f64;
        let mut text = text_lines("headline", &headline, LEFT, 24.0, 20.0) + "\n";
        for row in drawings.chunks(columns) {
            for (i, drawing) in row.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "<g transform=\"translate({} {top})\">{}</g>",
                    WIDTH * i as f64,
                    drawing.content
                );
            }
            top += row.iter().map(|drawing| drawing.height).fold(0.0, f64::max);
        }
        let (legend, legend_height) = self.legend(width, top + 12.0);
        let height = top + legend_height + 16.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\n\
             <title>{}</title>\n<style>\n{FILE_COLOURS}{SHAPES}</style>\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             {text}{legend}</svg>\n",
            escape::html(&self.title)
        )
    }

    /// The legend at `top`, wrapped at `right`, and its height. Without entries it takes no room.
    fn legend(&self, right: f64, top: f64) -> (String, f64) {
        let entries = entries(self);
        if entries.is_empty() {
            return (String::new(), 0.0);
        }
        let (mut text, mut x, mut y) = (String::new(), LEFT, top);
        for entry in entries {
            let needs = 44.0 + width(entry.name, 11.5);
            if x > LEFT && x + needs > right {
                (x, y) = (LEFT, y + LEGEND_LINE);
            }
            let lines = wrapped(entry.name, 11.5, right - x - 26.0);
            text += &swatch(&entry, x, y);
            text += &text_lines("tick", &lines, x + 26.0, y + 3.5, 14.0);
            text.push('\n');
            y += 14.0 * lines.len().saturating_sub(1) as f64;
            x += needs;
        }
        (text, y - top + LEGEND_LINE)
    }
}

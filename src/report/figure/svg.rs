//! Figures as SVG: drawings of one width, below and beside each other.
//!
//! Colours are classes (`s0`, `s1` …, `ref`). The page defines them for light and dark; a file defines them itself.

use std::fmt::Write;

use super::drawing::{Drawing, WIDTH, text_lines};
use super::legend::{entries, swatch};
use super::words::{width, wrapped};
use super::{BarChart, Drawings, Figure, HeatMap, Panel};
use crate::escape;

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

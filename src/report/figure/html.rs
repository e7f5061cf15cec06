//! A figure within the page.

use super::drawing::Drawing;
use super::legend::{entries, swatch};
use super::{Drawings, Figure};
use crate::escape;

/// How much of a figure is seen before the reader asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FigureView {
    Whole,
    /// The first drawings.
    Beginning,
    /// Its title.
    Folded,
}

impl Figure {
    /// The number of drawings that stand side by side on a wide page.
    pub(crate) const BESIDE: usize = 3;

    /// The number of drawings.
    pub(crate) fn count(&self) -> usize {
        match &self.drawings {
            Drawings::Panels(panels) => panels.len(),
            Drawings::HeatMaps(maps) => maps.len(),
            Drawings::Bars(charts) => charts.len(),
        }
    }

    /// Legend, drawings, caption, and the numbers as a table.
    pub(crate) fn html(&self, view: FigureView) -> String {
        let title = escape::html(&self.title);
        let mut text = format!(
            "<figure id=\"{}\"{}>\n<h3>{title}</h3>\n<ul class=\"legend\">\n",
            escape::html(&self.name),
            // Small ones stand side by side.
            if self.count() == 1 { " class=\"single\"" } else { "" }
        );
        for entry in entries(self) {
            text += &format!(
                "<li><svg class=\"plot\" width=\"20\" height=\"12\" viewBox=\"0 0 20 12\" aria-hidden=\"true\">{}</svg><span>{}</span></li>\n",
                swatch(&entry, 0.0, 6.0),
                escape::html(entry.name)
            );
        }
        text += "</ul>\n";
        let drawings = self.drawn();
        let seen = if view == FigureView::Beginning {
            Self::BESIDE
        } else {
            drawings.len()
        };
        let (first, others) = drawings.split_at(seen.min(drawings.len()));
        text += &self.panels_html(first);
        if !others.is_empty() {
            text += &format!(
                "<details><summary>{} more</summary>\n{}</details>\n",
                others.len(),
                self.panels_html(others)
            );
        }
        text += &format!(
            "<figcaption>{}</figcaption>\n<details><summary>The numbers</summary>\n{}</details>\n</figure>\n",
            escape::html(&self.caption),
            self.numbers().html()
        );
        match view {
            FigureView::Folded => format!("<details class=\"fold\"><summary>{title}</summary>\n{text}</details>\n"),
            FigureView::Whole | FigureView::Beginning => text,
        }
    }

    fn panels_html(&self, drawings: &[Drawing]) -> String {
        let drawn: String = drawings.iter().map(|drawing| drawing.svg(&self.title)).collect();
        format!("<div class=\"panels\">\n{drawn}</div>\n")
    }
}

//! A figure within the page.

use super::Figure;
use super::legend::{entries, swatch};
use crate::escape;

impl Figure {
    /// Legend, panels, caption, and the numbers as a table.
    pub(crate) fn html(&self) -> String {
        let mut text = format!(
            "<figure id=\"{}\">\n<h3>{}</h3>\n<ul class=\"legend\">\n",
            escape::html(&self.name),
            escape::html(&self.title)
        );
        for entry in entries(self) {
            text += &format!(
                "<li><svg class=\"plot\" width=\"20\" height=\"12\" viewBox=\"0 0 20 12\" aria-hidden=\"true\">{}</svg>{}</li>\n",
                swatch(&entry, 0.0, 6.0),
                escape::html(entry.name)
            );
        }
        text += "</ul>\n<div class=\"panels\">\n";
        text.extend(self.drawn().iter().map(|drawing| drawing.svg(&self.title)));
        text += &format!(
            "</div>\n<figcaption>{}</figcaption>\n<details><summary>The numbers</summary>\n{}</details>\n</figure>\n",
            escape::html(&self.caption),
            self.numbers().html()
        );
        text
    }
}

//! One drawing of a figure, and its parts.

use super::FigurePoint;
use super::words::wrapped;
use crate::escape;

/// The width of a drawing in pixels.
pub(super) const WIDTH: f64 = 348.0;

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

//! Lines at the bottom of a terminal that change. What is printed scrolls above them.

use std::io::Write;

use unicode_width::UnicodeWidthChar;

use crate::text::{Color, Paint};

/// The size of a terminal that does not know its own: columns and rows.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// Tells a terminal to cut lines that do not fit, and to break them again.
const NO_BREAKS: &str = "\x1b[?7l";
const BREAKS: &str = "\x1b[?7h";

/// Asks a terminal for its size: columns and rows, 0 where it does not know.
pub type AskSize = fn() -> (usize, usize);

/// The last lines of a terminal, which are drawn again and again.
///
/// The cursor stands below them. When the terminal is made narrower, it breaks the lines that no longer fit; the rows that they take then
/// are counted, so that nothing is left behind. Some terminals tell of their size a moment later: what is drawn in between removes as many
/// rows as it adds, so that the count still holds.
pub struct LiveArea<W> {
    out: Option<W>,
    paint: Paint,
    size: AskSize,
    /// The lines that are on the screen.
    drawn: Vec<LiveLine>,
}

/// A line, with its colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveLine {
    pub text: String,
    pub color: Option<Color>,
}

impl LiveLine {
    pub fn plain(text: String) -> Self {
        Self { text, color: None }
    }

    pub fn dim(text: String) -> Self {
        Self {
            text,
            color: Some(Color::Dim),
        }
    }
}

impl<W: Write> LiveArea<W> {
    /// An area without lines, on a terminal of this size.
    pub fn new(out: W, paint: Paint, size: AskSize) -> Self {
        Self {
            out: Some(out),
            paint,
            size,
            drawn: Vec::new(),
        }
    }

    /// The columns and rows for lines: the last column stays free, since some terminals break a line that fills it.
    pub fn size(&self) -> (usize, usize) {
        let (columns, rows) = (self.size)();
        let (columns, rows) = if columns == 0 || rows == 0 { USUAL_SIZE } else { (columns, rows) };
        (columns.saturating_sub(1).max(1), rows.saturating_sub(1).max(1))
    }

    /// Prints `above`, a text of whole lines that stay, and draws these lines below it in place of the earlier ones. Of lines that do not
    /// fit, the ends are cut, and those above the last are left out. A terminal that is gone is no reason to stop.
    pub fn draw(&mut self, above: &str, lines: Vec<LiveLine>) {
        let (columns, rows) = self.size();
        let paint = self.paint;
        let left_out = lines.len().saturating_sub(rows);
        let cut = |line: LiveLine| LiveLine {
            text: beginning(&paint.finish(&line.text), columns),
            ..line
        };
        let lines: Vec<LiveLine> = lines.into_iter().skip(left_out).map(cut).collect();
        let is_broken = self.drawn.iter().any(|line| line.rows(columns + 1) > 1);
        if above.is_empty() && lines == self.drawn && !is_broken {
            return;
        }
        let mut text = self.erased(columns + 1);
        text += &paint.finish(above);
        // Lines are not broken while they are drawn: the terminal may be narrower by now than it has told.
        text += if lines.is_empty() { "" } else { NO_BREAKS };
        for line in &lines {
            text += &line.color.map_or_else(|| line.text.clone(), |color| paint.paint(color, &line.text));
            text.push('\n');
        }
        text += if lines.is_empty() { "" } else { BREAKS };
        self.drawn = lines;
        let Some(out) = &mut self.out else { return };
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            self.out = None;
        }
    }

    /// What removes the lines on the screen, which has so many columns.
    fn erased(&self, columns: usize) -> String {
        if self.drawn.is_empty() {
            return String::new();
        }
        let rows = self.drawn.iter().map(|line| line.rows(columns)).sum();
        // Row by row, since some terminals keep in their history what is cleared as a whole screen. What a person typed stands in the row of
        // the cursor: `^C`.
        format!("\r\x1b[2K{}", "\x1b[A\x1b[2K".repeat(rows))
    }
}

impl LiveLine {
    /// The rows that the line takes.
    fn rows(&self, columns: usize) -> usize {
        columns_of(&self.text).div_ceil(columns.max(1)).max(1)
    }
}

fn columns_of(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The beginning of a text that fits into so many columns.
fn beginning(text: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= columns
    };
    text.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::*;

    thread_local! {
        static SIZE: Cell<(usize, usize)> = const { Cell::new((20, 6)) };
    }

    /// What is written, piece by piece.
    #[derive(Clone, Default)]
    struct Written(Rc<RefCell<Vec<String>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_cut_counted_and_removed() {
        let written = Written::default();
        let mut area = LiveArea::new(written.clone(), Paint::default(), || SIZE.get());
        let plain = |texts: &[&str]| texts.iter().map(|text| LiveLine::plain((*text).to_owned())).collect::<Vec<_>>();
        area.draw("", plain(&["one", "a line of more than twenty columns"]));
        area.draw("", plain(&["one", "a line of more than twenty columns"]));
        area.draw("said\n", plain(&["two"]));
        // The terminal breaks the line of 19 columns into two.
        area.draw("", plain(&["数数数数数数数数数x"]));
        SIZE.set((10, 6));
        area.draw("", plain(&["three"]));
        SIZE.set((20, 4));
        area.draw("", plain(&["1", "2", "3", "4"]));
        area.draw("end\n", Vec::new());
        assert_eq!(
            *written.0.borrow(),
            [
                "DRAWone\na line of more than\nDRAWN",
                "CLEARUPUPsaid\nDRAWtwo\nDRAWN",
                "CLEARUPDRAW数数数数数数数数数x\nDRAWN",
                "CLEARUPUPDRAWthree\nDRAWN",
                "CLEARUPDRAW2\n3\n4\nDRAWN",
                "CLEARUPUPUPend\n",
            ]
            .map(|text| text.replace("CLEAR", "\r\x1b[2K").replace("UP", "\x1b[A\x1b[2K"))
            .map(|text| text.replace("DRAWN", BREAKS).replace("DRAW", NO_BREAKS))
        );
    }
}

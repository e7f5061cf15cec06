//! Aligned plain-text tables.

use unicode_width::UnicodeWidthStr;

use super::escape::printable;
use super::{Color, Paint};

/// The alignment of the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Rows of cells under a heading, in columns as wide as their widest cell.
#[derive(Clone, Debug, Default)]
pub struct TextTable {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<(String, Option<Color>)>>,
}

impl TextTable {
    /// A table without rows. Its titles and cells are made printable, on one line.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        let columns = columns.into_iter();
        Self {
            columns: columns.map(|(title, align)| (printable(&title).into_owned(), align)).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of cells, each with its colour. Cells beyond the last column are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Color>)>) {
        let cells = cells.into_iter().take(self.columns.len());
        self.rows
            .push(cells.map(|(cell, color)| (printable(&cell).into_owned(), color)).collect());
    }

    /// The width of each column on a terminal.
    pub fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| width(title)).collect();
        for row in &self.rows {
            for (widest, (cell, _)) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }

    /// The table as lines of text that end in a line feed, not in spaces.
    pub fn render(&self, paint: Paint) -> String {
        let widths = self.widths();
        let heading: Vec<_> = self.columns.iter().map(|(title, _)| (title.clone(), Some(Color::Bold))).collect();
        std::iter::once(&heading)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, paint))
            .collect()
    }

    fn line(&self, row: &[(String, Option<Color>)], widths: &[usize], paint: Paint) -> String {
        let mut line = String::new();
        // Spaces are written only when a cell follows them.
        let mut pending = 0;
        for (((cell, color), wide), (_, align)) in row.iter().zip(widths).zip(&self.columns) {
            let padding = wide.saturating_sub(width(cell));
            let (before, after) = if *align == Align::Right { (padding, 0) } else { (0, padding) };
            if cell.is_empty() {
                pending += wide + COLUMN_GAP;
                continue;
            }
            line.extend(std::iter::repeat_n(' ', pending + before));
            line += &color.map_or_else(|| cell.clone(), |color| paint.paint(color, cell));
            pending = after + COLUMN_GAP;
        }
        line.push('\n');
        line
    }
}

/// Spaces between two columns.
pub const COLUMN_GAP: usize = 2;

/// The columns that a text takes on a terminal: two for each wide character, none for combining marks.
pub fn width(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable {
        let mut table = TextTable::new([
            ("stage".into(), Align::Left),
            ("variant".into(), Align::Left),
            ("n".into(), Align::Right),
        ]);
        table.row([("score[0]".into(), None), (String::new(), None), ("3".into(), Some(Color::Green))]);
        table.row([("mean ± σ".into(), None), ("seed=1".into(), None), (String::new(), None)]);
        table.row([("b".into(), None), (String::new(), None), ("128".into(), None)]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        insta::assert_snapshot!(table().render(Paint::default()), @r"
        stage     variant    n
        score[0]             3
        mean ± σ  seed=1
        b                  128
        ");
    }

    #[test]
    fn a_wide_character_takes_two_columns() {
        let mut table = TextTable::new([("a".into(), Align::Left), ("b".into(), Align::Left)]);
        table.row([("数".into(), None), ("1".into(), None)]);
        table.row([("e\u{301}x".into(), None), ("2".into(), None)]);
        assert_eq!(table.render(Paint::default()), "a   b\n数  1\ne\u{301}x  2\n");
    }

    #[test]
    fn a_cell_is_on_one_line_and_draws_nothing() {
        let mut table = TextTable::new([("a\x1b[31m".into(), Align::Left), ("b".into(), Align::Left)]);
        table.row([("x\ny\r\x1b]0;title\x07".into(), None), ("\u{202e}1".into(), None)]);
        assert_eq!(table.render(Paint::default()), "a    b\nx y  1\n");
    }

    #[test]
    fn colours_do_not_count_as_width() {
        let painted = table().render(Paint::new(true));
        assert!(painted.contains("score[0]             \x1b[32m3\x1b[0m\n"), "{painted:?}");
    }
}

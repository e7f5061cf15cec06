//! Aligned plain-text tables.

use super::{Color, Paint};

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

/// Rows of cells under a heading, in columns as wide as their widest cell.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<(String, Option<Color>)>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl IntoIterator<Item = (String, Align)>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of cells, each with its colour; cells past the last column are left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Color>)>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// How wide each column is, in characters.
    pub fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(title, _)| width(title)).collect();
        for row in &self.rows {
            for (widest, (cell, _)) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }

    /// The text, each line with its line feed, columns `GAP` apart, no spaces at the ends of lines.
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
        // Spaces are owed until something follows them.
        let mut owed = 0;
        for (((cell, color), wide), (_, align)) in row.iter().zip(widths).zip(&self.columns) {
            let padding = wide.saturating_sub(width(cell));
            let (before, after) = if *align == Align::Right { (padding, 0) } else { (0, padding) };
            if cell.is_empty() {
                owed += wide + GAP;
                continue;
            }
            line.extend(std::iter::repeat_n(' ', owed + before));
            line += &color.map_or_else(|| cell.clone(), |color| paint.paint(color, cell));
            owed = after + GAP;
        }
        line.push('\n');
        line
    }
}

/// Spaces between two columns.
pub const GAP: usize = 2;

/// Characters are taken for one column each: the tables hold names and numbers.
fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
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
    fn colours_do_not_count_as_width() {
        let painted = table().render(Paint::new(true));
        assert!(painted.contains("score[0]             \x1b[32m3\x1b[0m\n"), "{painted:?}");
    }
}

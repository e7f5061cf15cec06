//! A sheet as aligned text.

use super::{NONE, Sheet};
use crate::report::{Color, Paint, Table};

impl Sheet {
    /// One line of headings, one for each row, an empty one between groups.
    pub fn text(&self, paint: Paint) -> String {
        let mut table = Table::new(self.titles());
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 && row.begins {
                table.row([]);
            }
            table.row(row.cells.iter().map(|cell| {
                let color = (cell.text == NONE).then_some(Color::Dim);
                (cell.text.clone(), color)
            }));
        }
        table.render(paint)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use crate::report::Paint;

    #[test]
    fn a_span_s_first_column_carries_its_title() {
        insta::assert_snapshot!(example().text(Paint::default()), @r"
        phase        in_domain %  steps  a|b
        warm start    98.6 ± 0.1   2.60  x_1
        iteration 1            –      –  <b>

        cold start                 1.00  \
        ");
    }
}

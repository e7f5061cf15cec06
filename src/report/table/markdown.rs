//! A table as a Markdown table.

use super::{ReportTable, TableCell};
use crate::escape;
use lab::text::Align;

impl ReportTable {
    /// The title in bold, then the table.
    pub fn markdown(&self) -> String {
        let titles = self.titles();
        let rule = titles.iter().map(|(_, align)| match align {
            Align::Left => "---".to_owned(),
            Align::Right => "---:".to_owned(),
        });
        let mut text = format!("**{}**\n\n", escape::markdown(&self.title));
        text += &line(titles.iter().map(|(title, _)| escape::markdown(title)));
        text += &line(rule);
        for row in &self.rows {
            text += &line(row.cells.iter().map(cell_text));
        }
        text
    }
}

/// The best of a column is bold.
fn cell_text(cell: &TableCell) -> String {
    let text = escape::markdown(&cell.text);
    if cell.is_best { format!("**{text}**") } else { text }
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;

    #[test]
    fn a_table_with_its_title() {
        insta::assert_snapshot!(example().markdown(), @r"
        **Accuracy & steps**

        | phase | in\_domain % | steps | a\|b |
        | --- | ---: | ---: | --- |
        | warm start | 98.6 ± 0.1 | 2.60 | x\_1 |
        | iteration 1 | – | – | \<b\> |
        | cold start |  | 1.00 | \\ |
        ");
    }
}

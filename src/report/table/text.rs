//! A table as aligned text.

use super::{ColumnGroup, NO_NUMBER, ReportTable, TableRow};
use lab::text::COLUMN_GAP;
use lab::text::{Color, Paint, TextTable};

impl ReportTable {
    /// One line of headings, one for each row, an empty one between column_groups.
    pub fn text(&self, paint: Paint) -> String {
        self.text_grid(paint.is_on()).render(paint)
    }

    /// The best of a column is bold, or has a star where there are no colours.
    fn text_grid(&self, is_colored: bool) -> TextTable {
        let mut table = TextTable::new(self.titles());
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 && row.begins_group {
                table.row([]);
            }
            table.row(row.cells.iter().map(|cell| match (cell.is_best, is_colored) {
                (true, true) => (cell.text.clone(), Some(Color::Bold)),
                (true, false) => (format!("*{}", cell.text), None),
                (false, _) => (cell.text.clone(), cell.text.starts_with(NO_NUMBER).then_some(Color::Dim)),
            }));
        }
        table
    }

    /// Splits the table into pieces of at most `width` characters. Every piece has the label columns, and columns under one heading stay
    /// together where they fit. A table that does not fit this way stays whole.
    pub fn split(&self, width: usize) -> Vec<Self> {
        let pieces = self.split_between_groups(width);
        if pieces.len() == 1 && self.width() > width {
            // A heading may have more columns than there is room for.
            let pieces = self.with_groups_apart().split_between_groups(width);
            if pieces.len() > 1 {
                return pieces;
            }
        }
        pieces
    }

    fn width(&self) -> usize {
        self.group_widths().iter().sum::<usize>().saturating_sub(COLUMN_GAP)
    }

    /// The table with the heading of a group above each of its columns.
    fn with_groups_apart(&self) -> Self {
        let apart = |group: &ColumnGroup| {
            let columns = group.columns.iter().map(|column| ColumnGroup {
                columns: vec![column.clone()],
                ..group.clone()
            });
            columns.collect::<Vec<_>>()
        };
        Self {
            column_groups: self.column_groups.iter().flat_map(apart).collect(),
            ..self.clone()
        }
    }

    fn split_between_groups(&self, width: usize) -> Vec<Self> {
        let widths = self.group_widths();
        let (labels, others): (Vec<usize>, Vec<usize>) = (0..widths.len()).partition(|i| self.column_groups[*i].is_label);
        let label_width: usize = labels.iter().map(|i| widths[*i]).sum();
        let room = width.saturating_add(COLUMN_GAP).saturating_sub(label_width);
        let mut parts: Vec<Vec<usize>> = Vec::new();
        let mut taken = 0;
        for i in &others {
            match parts.last_mut() {
                Some(part) if taken + widths[*i] <= room => part.push(*i),
                _ => {
                    parts.push(vec![*i]);
                    taken = 0;
                }
            }
            taken += widths[*i];
        }
        if parts.len() < 2 || others.iter().any(|i| widths[*i] > room) {
            return vec![self.clone()];
        }
        let column_groups = |part: &Vec<usize>| self.with_groups(|i| labels.contains(&i) || part.contains(&i));
        parts.iter().map(column_groups).collect()
    }

    /// The width of each group with the gaps after its columns.
    fn group_widths(&self) -> Vec<usize> {
        let widths = self.text_grid(false).widths();
        let mut rest = widths.as_slice();
        let group = |group: &ColumnGroup| {
            let (own, others) = rest.split_at(group.columns.len());
            rest = others;
            own.iter().map(|width| width + COLUMN_GAP).sum()
        };
        self.column_groups.iter().map(group).collect()
    }

    /// The table with only these column groups.
    fn with_groups(&self, keep: impl Fn(usize) -> bool) -> Self {
        let columns = self
            .column_groups
            .iter()
            .enumerate()
            .flat_map(|(i, group)| std::iter::repeat_n(keep(i), group.columns.len()));
        let columns: Vec<bool> = columns.collect();
        let column_groups = self.column_groups.iter().enumerate().filter(|(i, _)| keep(*i));
        let row = |row: &TableRow| TableRow {
            cells: row
                .cells
                .iter()
                .zip(&columns)
                .filter(|(_, keep)| **keep)
                .map(|(cell, _)| cell.clone())
                .collect(),
            begins_group: row.begins_group,
        };
        Self {
            title: self.title.clone(),
            column_groups: column_groups.map(|(_, group)| group.clone()).collect(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::{ColumnGroup, TableCell};
    use lab::text::{Align, Paint};

    #[test]
    fn a_span_s_first_column_carries_its_title() {
        insta::assert_snapshot!(example().text(Paint::default()), @r"
        phase        in_domain %  steps  a|b
        warm start    98.6 ± 0.1   2.60  x_1
        iteration 1            –      –  <b>

        cold start                 1.00  \
        ");
    }

    #[test]
    fn a_wide_table_becomes_several() {
        let mut table = example();
        let more = ColumnGroup::new("ood", &["%", "steps"], Align::Right);
        table.column_groups.push(more);
        let cells = ["0.0", "4.00"].map(TableCell::plain);
        table.rows.iter_mut().for_each(|row| row.cells.extend(cells.clone()));
        let whole = table.text(Paint::default());
        let longest = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(table.split(longest), [table.clone()], "as wide as it may be");
        let parts: Vec<String> = table.split(longest - 1).iter().map(|part| part.text(Paint::default())).collect();
        insta::assert_snapshot!(parts.join("\n"), @r"
        phase        in_domain %  steps  a|b
        warm start    98.6 ± 0.1   2.60  x_1
        iteration 1            –      –  <b>

        cold start                 1.00  \

        phase        a|b  ood %  steps
        warm start   x_1    0.0   4.00
        iteration 1  <b>    0.0   4.00

        cold start   \      0.0   4.00
        ");
        assert_eq!(table.split(3).len(), 1, "there is no room beside the labels");
        let narrow: Vec<String> = table.split(33).iter().map(|part| part.text(Paint::default())).collect();
        assert_eq!(narrow.len(), 4);
        insta::assert_snapshot!(narrow[1], @r"
        phase        in_domain steps  a|b
        warm start              2.60  x_1
        iteration 1                –  <b>

        cold start              1.00  \
        ");
    }
}

//! A sheet as aligned text.

use super::{NONE, Row, Sheet, Span};
use lab::text::COLUMN_GAP;
use lab::text::{Color, Paint, TextTable};

impl Sheet {
    /// One line of headings, one for each row, an empty one between groups.
    pub fn text(&self, paint: Paint) -> String {
        self.table().render(paint)
    }

    fn table(&self) -> TextTable {
        let mut table = TextTable::new(self.titles());
        for (i, row) in self.rows.iter().enumerate() {
            if i > 0 && row.begins {
                table.row([]);
            }
            table.row(row.cells.iter().map(|cell| {
                let color = (cell.text == NONE).then_some(Color::Dim);
                (cell.text.clone(), color)
            }));
        }
        table
    }

    /// The table in as many parts as make each at most `width` characters wide. Every part has the columns that say what a row is about; where
    /// beside these there is no room for each of the others (those under one heading together), the table stays whole.
    pub fn parts(&self, width: usize) -> Vec<Self> {
        let widths = self.widths();
        let (leads, others): (Vec<usize>, Vec<usize>) = (0..widths.len()).partition(|i| self.spans[*i].leads);
        let leading: usize = leads.iter().map(|i| widths[*i]).sum();
        let room = width.saturating_add(COLUMN_GAP).saturating_sub(leading);
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
        let spans = |part: &Vec<usize>| self.of_spans(|i| leads.contains(&i) || part.contains(&i));
        parts.iter().map(spans).collect()
    }

    /// How wide each span is, with the gaps behind its columns.
    fn widths(&self) -> Vec<usize> {
        let widths = self.table().widths();
        let mut rest = widths.as_slice();
        let span = |span: &Span| {
            let (own, others) = rest.split_at(span.columns.len());
            rest = others;
            own.iter().map(|width| width + COLUMN_GAP).sum()
        };
        self.spans.iter().map(span).collect()
    }

    /// The table with these of its spans alone.
    fn of_spans(&self, stays: impl Fn(usize) -> bool) -> Self {
        let columns = self
            .spans
            .iter()
            .enumerate()
            .flat_map(|(i, span)| std::iter::repeat_n(stays(i), span.columns.len()));
        let columns: Vec<bool> = columns.collect();
        let spans = self.spans.iter().enumerate().filter(|(i, _)| stays(*i));
        let row = |row: &Row| Row {
            cells: row
                .cells
                .iter()
                .zip(&columns)
                .filter(|(_, stays)| **stays)
                .map(|(cell, _)| cell.clone())
                .collect(),
            begins: row.begins,
        };
        Self {
            title: self.title.clone(),
            spans: spans.map(|(_, span)| span.clone()).collect(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::super::{Cell, Span};
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
        let mut sheet = example();
        let more = Span::of("ood", &["%", "steps"], Align::Right);
        sheet.spans.push(more);
        let cells = ["0.0", "4.00"].map(Cell::text);
        sheet.rows.iter_mut().for_each(|row| row.cells.extend(cells.clone()));
        let whole = sheet.text(Paint::default());
        let longest = whole.lines().map(|line| line.chars().count()).max().unwrap();
        assert_eq!(sheet.parts(longest), [sheet.clone()], "as wide as it may be");
        let parts: Vec<String> = sheet.parts(longest - 1).iter().map(|part| part.text(Paint::default())).collect();
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
        assert_eq!(sheet.parts(3).len(), 1, "there is no room beside the leads");
    }
}

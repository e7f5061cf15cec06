//! The tables of a report, which become text, Markdown, LaTeX or HTML.

mod html;
mod latex;
mod markdown;
mod text;

use lab::text::Align;

/// The text of a cell without a number.
pub const NO_NUMBER: &str = "–";

/// A table of a report: rows of cells under two lines of headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportTable {
    pub title: String,
    pub column_groups: Vec<ColumnGroup>,
    pub rows: Vec<TableRow>,
}

/// Columns under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnGroup {
    /// The heading above the columns; empty for a single column.
    pub title: String,
    pub columns: Vec<TableColumn>,
    /// Whether the columns name the row. Each part of a table that is split has them.
    pub is_label: bool,
    /// Whether it is the column of an axis of the matrix, which an experiment names as it likes.
    pub is_axis: bool,
}

/// The heading of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct TableColumn {
    pub title: String,
    pub align: Align,
}

/// One line of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableRow {
    pub cells: Vec<TableCell>,
    /// Whether the row is the first of a group.
    pub begins_group: bool,
}

/// The text of a cell, and the stages that it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCell {
    pub text: String,
    /// The numbers of the stages' nodes.
    pub nodes: Vec<usize>,
    /// Whether it is the best of its column, and marked as such.
    pub is_best: bool,
}

impl ReportTable {
    /// The columns of all groups.
    pub fn columns(&self) -> impl Iterator<Item = (&ColumnGroup, &TableColumn)> {
        self.column_groups
            .iter()
            .flat_map(|group| group.columns.iter().map(move |column| (group, column)))
    }

    /// The table, with the axes told apart from other columns of the same name.
    #[must_use]
    pub fn with_axes_apart(mut self) -> Self {
        let groups = self.column_groups.iter().filter(|group| !group.is_axis);
        let ours: Vec<String> = groups
            .flat_map(|group| group.columns.iter().map(|column| column.title.clone()))
            .collect();
        for group in self.column_groups.iter_mut().filter(|group| group.is_axis) {
            for column in &mut group.columns {
                column.title = axis_title(&column.title, |title| ours.iter().any(|our| our == title));
            }
        }
        self
    }

    /// The titles of all columns on one line. The first column of a group has the group's title before its own.
    fn titles(&self) -> Vec<(String, Align)> {
        let title = |group: &ColumnGroup| {
            let columns = group.columns.iter().enumerate();
            let titles = columns.map(|(i, column)| match (i, group.title.as_str()) {
                (0, title) if !title.is_empty() => (format!("{title} {}", column.title), column.align),
                _ => (column.title.clone(), column.align),
            });
            titles.collect::<Vec<_>>()
        };
        self.column_groups.iter().flat_map(title).collect()
    }
}

impl ColumnGroup {
    /// A single column. It is a label if it has words, which are aligned to the left.
    pub fn single(title: &str, align: Align) -> Self {
        Self {
            is_label: align == Align::Left,
            ..Self::new("", &[title], align)
        }
    }

    /// The same group as a label.
    pub fn as_label(self) -> Self {
        Self { is_label: true, ..self }
    }

    /// Columns under one heading.
    pub fn new(title: &str, columns: &[&str], align: Align) -> Self {
        let column = |title: &&str| TableColumn {
            title: (*title).to_owned(),
            align,
        };
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(column).collect(),
            is_label: false,
            is_axis: false,
        }
    }

    /// The column of an axis.
    pub fn axis(name: &str) -> Self {
        Self {
            is_axis: true,
            ..Self::single(name, Align::Left)
        }
    }
}

/// The name of an axis's column beside columns of ours: `axis.data` where one of them is called `data`. No axis has a point in its name.
pub fn axis_title(axis: &str, is_ours: impl Fn(&str) -> bool) -> String {
    let mut title = axis.to_owned();
    while is_ours(&title) {
        title.insert_str(0, "axis.");
    }
    title
}

impl TableCell {
    /// A cell without stages.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A cell that opens these stages.
    pub fn linked(text: impl Into<String>, nodes: impl IntoIterator<Item = usize>) -> Self {
        Self {
            text: text.into(),
            nodes: nodes.into_iter().collect(),
            is_best: false,
        }
    }

    /// The same cell, marked as the best of its column or not.
    #[must_use]
    pub fn marked(self, is_best: bool) -> Self {
        Self { is_best, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_with_the_name_of_a_column_of_ours_gets_another_one() {
        let mut table = example();
        for axis in ["phase", "steps", "start"] {
            table.column_groups.insert(0, ColumnGroup::axis(axis));
        }
        let table = table.with_axes_apart();
        let titles: Vec<&str> = table.columns().map(|(_, column)| column.title.as_str()).collect();
        assert_eq!(titles, ["start", "axis.steps", "axis.phase", "phase", "%", "steps", "a|b"]);
    }

    /// Two column_groups of rows, with all that a format has to take care of.
    pub(super) fn example() -> ReportTable {
        let row = |cells: [&str; 4], begins| TableRow {
            cells: cells.iter().map(|text| TableCell::linked(*text, [7])).collect(),
            begins_group: begins,
        };
        ReportTable {
            title: "Accuracy & steps".to_owned(),
            column_groups: vec![
                ColumnGroup::single("phase", Align::Left),
                ColumnGroup::new("in_domain", &["%", "steps"], Align::Right),
                ColumnGroup::single("a|b", Align::Left),
            ],
            rows: vec![
                row(["warm start", "98.6 ± 0.1", "2.60", "x_1"], true),
                row(["iteration 1", "–", "–", "<b>"], false),
                row(["cold start", "", "1.00", "\\"], true),
            ],
        }
    }
}

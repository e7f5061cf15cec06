//! A table laid out, before it becomes text, Markdown, LaTeX or a part of the page.

mod html;
mod latex;
mod markdown;
mod text;

use lab::text::Align;

/// What stands where there is no number yet.
pub const NONE: &str = "–";

/// Rows of cells under two lines of headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// What it shows.
    pub title: String,
    pub spans: Vec<Span>,
    pub rows: Vec<Row>,
}

/// Columns under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Empty for columns that stand alone.
    pub title: String,
    pub columns: Vec<Column>,
    /// Whether it says what a row is about.
    pub leads: bool,
}

/// The heading of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub title: String,
    pub align: Align,
}

/// One line of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub cells: Vec<Cell>,
    /// Whether it begins a group of rows.
    pub begins: bool,
}

/// What stands in a cell, and which stages it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub text: String,
    /// The numbers of the stages.
    pub sources: Vec<usize>,
}

impl Sheet {
    /// The columns of all spans.
    pub fn columns(&self) -> impl Iterator<Item = (&Span, &Column)> {
        self.spans
            .iter()
            .flat_map(|span| span.columns.iter().map(move |column| (span, column)))
    }

    /// The titles of all columns on one line; the first column of a span carries the span's title.
    fn titles(&self) -> Vec<(String, Align)> {
        let title = |span: &Span| {
            let columns = span.columns.iter().enumerate();
            let titles = columns.map(|(i, column)| match (i, span.title.as_str()) {
                (0, title) if !title.is_empty() => (format!("{title} {}", column.title), column.align),
                _ => (column.title.clone(), column.align),
            });
            titles.collect::<Vec<_>>()
        };
        self.spans.iter().flat_map(title).collect()
    }
}

impl Span {
    /// A column of its own; words say what a row is about.
    pub fn alone(title: &str, align: Align) -> Self {
        Self {
            leads: align == Align::Left,
            ..Self::of("", &[title], align)
        }
    }

    /// The same, saying what a row is about.
    pub fn leading(self) -> Self {
        Self { leads: true, ..self }
    }

    /// Columns with one heading.
    pub fn of(title: &str, columns: &[&str], align: Align) -> Self {
        let column = |title: &&str| Column {
            title: (*title).to_owned(),
            align,
        };
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(column).collect(),
            leads: false,
        }
    }
}

impl Cell {
    /// A cell that comes from no stage.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            sources: Vec::new(),
        }
    }

    /// A cell that comes from these stages.
    pub fn from(text: impl Into<String>, sources: impl IntoIterator<Item = usize>) -> Self {
        Self {
            text: text.into(),
            sources: sources.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two groups of rows, with all that a format has to take care of.
    pub(super) fn example() -> Sheet {
        let row = |cells: [&str; 4], begins| Row {
            cells: cells.iter().map(|text| Cell::from(*text, [7])).collect(),
            begins,
        };
        Sheet {
            title: "Accuracy & steps".to_owned(),
            spans: vec![
                Span::alone("phase", Align::Left),
                Span::of("in_domain", &["%", "steps"], Align::Right),
                Span::alone("a|b", Align::Left),
            ],
            rows: vec![
                row(["warm start", "98.6 ± 0.1", "2.60", "x_1"], true),
                row(["iteration 1", "–", "–", "<b>"], false),
                row(["cold start", "", "1.00", "\\"], true),
            ],
        }
    }
}

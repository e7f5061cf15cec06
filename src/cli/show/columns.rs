//! The columns of a data set, as a table of 80 columns of text.

use std::path::Path;

use kinds::artifact::columns::{Column, Columns, columns};
use lab::store::StoreError;
use lab::text::{Align, COLUMN_GAP, Paint, TextTable, printable, shortened, width};

/// The width of the table.
const WIDTH: usize = 80;

/// The longest name of a column, and the narrowest example.
const MAX_NAME: usize = 28;
const MIN_EXAMPLE: usize = 12;

/// The columns of an artifact that is a data set or answers.
///
/// # Errors
/// When it cannot be read: the store is damaged.
pub(super) fn of(path: &Path) -> Result<Option<Columns>, StoreError> {
    columns(path).map_err(|error| StoreError::Damaged {
        path: path.to_owned(),
        problem: format!("has rows that cannot be read: {error}"),
    })
}

/// The columns as a table, with a blank line before it.
pub(super) fn text(found: &Columns) -> String {
    let has_record = found.columns.iter().any(|column| column.of_record);
    let titles = [
        ("column", Align::Left),
        ("of the", Align::Left),
        ("is", Align::Left),
        ("rows", Align::Right),
    ];
    let shown = |place: &usize| has_record || *place != 1;
    let places: Vec<usize> = (0..titles.len()).filter(shown).collect();
    let head = |title: Option<(&str, Align)>| {
        let own = places.iter().filter_map(|place| titles.get(*place).copied());
        TextTable::new(own.chain(title).map(|(title, align)| (title.to_owned(), align)))
    };
    let cells = |column: &Column| {
        let cells = [
            shortened(&column.name, MAX_NAME),
            if column.of_record { "record" } else { "row" }.to_owned(),
            column.kinds.iter().copied().collect::<Vec<_>>().join(", "),
            column.rows.to_string(),
        ];
        places.iter().filter_map(|place| cells.get(*place).cloned()).collect::<Vec<_>>()
    };
    let mut bare = head(None);
    found
        .columns
        .iter()
        .for_each(|column| bare.row(cells(column).into_iter().map(|cell| (cell, None))));
    let taken: usize = bare.widths().iter().map(|width| width + COLUMN_GAP).sum();
    let left = WIDTH.saturating_sub(taken).max(MIN_EXAMPLE);
    let mut table = head(Some(("example", Align::Left)));
    for column in &found.columns {
        let example = cut(&column.example, left);
        table.row(cells(column).into_iter().chain([example]).map(|cell| (cell, None)));
    }
    format!("\n{}", table.render(Paint::default()))
}

/// The beginning of a text, on one line and at most so wide on a terminal.
fn cut(text: &str, limit: usize) -> String {
    let text = printable(text);
    if width(&text) <= limit {
        return text.into_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        kept.push(character);
        if width(&kept) >= limit {
            kept.pop();
            break;
        }
    }
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, of_record: bool, kinds: &[&'static str], example: &str) -> Column {
        Column {
            name: name.to_owned(),
            of_record,
            kinds: kinds.iter().copied().collect(),
            rows: 1_319,
            example: example.to_owned(),
        }
    }

    #[test]
    fn the_table_fits_into_80_columns() {
        let mut found = Columns {
            rows: 1_319,
            columns: vec![
                column("id", false, &["text"], "1"),
                column("prompt", false, &["text"], &"Janet's ducks\nlay 16 eggs per day. ".repeat(9)),
                column("answer", false, &["number", "text"], &"数".repeat(50)),
            ],
        };
        insta::assert_snapshot!(text(&found), @r"
        column  is            rows  example
        id      text          1319  1
        prompt  text          1319  Janet's ducks lay 16 eggs per day. Janet's ducks la…
        answer  number, text  1319  数数数数数数数数数数数数数数数数数数数数数数数数数…
        ");
        found
            .columns
            .push(column(&"a-very-long-name-".repeat(3), true, &["list"], "[1, 2]\u{1b}[31m"));
        insta::assert_snapshot!(text(&found), @r"
        column                        of the  is            rows  example
        id                            row     text          1319  1
        prompt                        row     text          1319  Janet's ducks lay 16…
        answer                        row     number, text  1319  数数数数数数数数数数…
        a-very-long-na…ry-long-name-  record  list          1319  [1, 2]
        ");
        assert!(text(&found).lines().all(|line| width(line) <= WIDTH));
    }
}

//! The columns of a data set, or of answers: what is there, how often, and an example of each.

use std::collections::BTreeSet;
use std::path::Path;

use lab::text::beginning;
use learn::dataset::{self, Doc, ExactValue, RawObject, Row};
use serde::Serialize;

use super::ArtifactError;

/// The field of a row with the rest of the record that it was made of.
const DOC: &str = "doc";

/// Characters of an example; what is longer is cut, and ends with `…`.
const MAX_EXAMPLE: usize = 200;

/// The columns of a file of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Columns {
    /// The number of rows.
    pub rows: u64,
    /// In the order in which they first come: those of the row, and those of the record that it was made of.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: String,
    /// Whether it is a field of the record, which the row keeps in `doc`.
    pub of_record: bool,
    /// What its values are: `text`, `number`, `true or false`, `list`, `object`; those that are null do not count.
    pub kinds: BTreeSet<&'static str>,
    /// The number of rows that have it, and not null.
    pub rows: u64,
    /// The first value that is not empty, as a text: lists and objects as JSON. It is cut if it is long.
    pub example: String,
}

/// The columns of a data set or of answers; `None` for a file that has no rows, and for any other artifact.
///
/// # Errors
/// When a line after the first is not a JSON object, or the file cannot be read.
pub fn columns(path: &Path) -> Result<Option<Columns>, ArtifactError> {
    if !has_rows(path) {
        return Ok(None);
    }
    let mut found = Columns::default();
    for line in dataset::open::<RawObject>(path)? {
        let RawObject(fields) = line?;
        found.rows += 1;
        for (name, raw) in fields {
            let record = (name == DOC).then(|| serde_json::from_str::<Doc>(raw.get()));
            if let Some(Ok(record)) = record {
                record.fields().for_each(|(name, value)| found.add(name, true, value));
            } else if let Ok(value) = serde_json::from_str::<ExactValue>(raw.get()) {
                found.add(&name, false, &value);
            }
        }
    }
    found.columns.sort_by_key(|column| column.of_record);
    Ok(Some(found))
}

/// Whether a file is a data set, or answers, and has a row.
pub fn has_rows(path: &Path) -> bool {
    path.is_file() && begins_with_a_row(path)
}

fn begins_with_a_row(path: &Path) -> bool {
    let first = dataset::open::<Row>(path).ok().and_then(|mut lines| lines.next());
    first.is_some_and(|row| row.is_ok())
}

impl Columns {
    fn add(&mut self, name: &str, of_record: bool, value: &ExactValue) {
        let known = self
            .columns
            .iter()
            .position(|column| column.name == name && column.of_record == of_record);
        let place = known.unwrap_or(self.columns.len());
        if known.is_none() {
            self.columns.push(Column {
                name: name.to_owned(),
                of_record,
                kinds: BTreeSet::new(),
                rows: 0,
                example: String::new(),
            });
        }
        let (Some(column), Some(kind)) = (self.columns.get_mut(place), kind(value)) else {
            return;
        };
        column.kinds.insert(kind);
        column.rows += 1;
        if column.example.is_empty() {
            column.example = example(value);
        }
    }
}

/// What a value is; `None` for null.
fn kind(value: &ExactValue) -> Option<&'static str> {
    Some(match value {
        ExactValue::Null => return None,
        ExactValue::Bool(_) => "true or false",
        ExactValue::Number(_) => "number",
        ExactValue::Text(_) => "text",
        ExactValue::List(_) => "list",
        ExactValue::Object(_) => "object",
    })
}

fn example(value: &ExactValue) -> String {
    beginning(&value.plain_text(), MAX_EXAMPLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Columns> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, text).unwrap();
        columns(&path).unwrap()
    }

    #[test]
    fn columns_are_counted_with_an_example() {
        let row = |id: &str, more: &str| {
            format!("{{\"id\": \"{id}\", \"prompt\": \"Q\\nR\", \"completion\": \"c\", \"step_num\": 1, \"answer\": 0.10{more}}}\n")
        };
        let text = row("", ", \"doc\": {\"z\": null, \"b\": [1, {\"c\": 2}]}")
            + &row("a", ", \"doc\": {\"z\": \"x\", \"answer\": true}")
            + &row("b", ", \"doc\": {\"z\": 7}");
        let found = of(&text).unwrap();
        assert_eq!(found.rows, 3);
        let lines = found.columns.iter().map(|column| {
            let kinds: Vec<&str> = column.kinds.iter().copied().collect();
            format!(
                "{} {} {} {} {:?}",
                column.name,
                column.of_record,
                kinds.join("/"),
                column.rows,
                column.example
            )
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r#"
        id false text 3 "a"
        prompt false text 3 "Q\nR"
        completion false text 3 "c"
        step_num false number 3 "1"
        answer false number 3 "0.10"
        z true number/text 2 "x"
        b true list 1 "[1,{\"c\":2}]"
        answer true true or false 1 "true"
        "#);
        let long = of(&row(&"é".repeat(300), "")).unwrap();
        assert_eq!(long.columns[0].example, "é".repeat(MAX_EXAMPLE) + "…");
    }

    #[test]
    fn what_has_no_rows_has_no_columns() {
        for other in ["", "a,b\n1,2\n", "{\"id\": 1}\n", "{\n"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(columns(Path::new("/")).unwrap(), None);
    }
}

//! A comparison as text.

use serde_json::Value;

use super::{Diff, StageDiff};
use lab::text::{Align, Color, Paint, TextTable, beginning, printable};

/// Longer values are shortened to this number of characters.
const MAX_VALUE_LENGTH: usize = 40;

impl Diff {
    /// The stages that differ, each with its rows; then those that are equal, and those that only one side has.
    pub fn text(&self, all: bool, paint: Paint) -> String {
        let [a, b] = &self.names;
        let mut text = format!("A  {}\nB  {}\n", printable(a), printable(b));
        for stage in self
            .stages
            .iter()
            .filter(|stage| stage.present == [true, true] && (all || !stage.is_equal()))
        {
            text += &format!(
                "\n{}\n{}",
                paint.paint(Color::Bold, &stage.stage.to_string()),
                rows_text(stage, all, paint)
            );
        }
        let lists = [
            ("equal", self.names_of(StageDiff::is_equal)),
            ("only in A", self.names_of(|stage| stage.present == [true, false])),
            ("only in B", self.names_of(|stage| stage.present == [false, true])),
        ];
        for (title, names) in lists {
            if !names.is_empty() && (!all || title != "equal") {
                text += &format!("\n{title}: {}\n", names.join(", "));
            }
        }
        text
    }

    fn names_of(&self, fits: impl Fn(&StageDiff) -> bool) -> Vec<String> {
        self.stages
            .iter()
            .filter(|stage| fits(stage))
            .map(|stage| stage.stage.to_string())
            .collect()
    }
}

fn rows_text(stage: &StageDiff, all: bool, paint: Paint) -> String {
    let title = |title: &str| (title.to_owned(), Align::Left);
    let mut table = TextTable::new([title(""), title(""), title("A"), title("B")]);
    for row in stage.rows.iter().filter(|row| all || !row.is_equal()) {
        let color = (all && row.is_equal()).then_some(Color::Dim);
        let [a, b] = &row.values;
        let cells = [
            format!("  {}", row.fact.kind.as_str()),
            row.fact.name.clone(),
            value_text(a.as_ref()),
            value_text(b.as_ref()),
        ];
        table.row(cells.map(|cell| (cell, color)));
    }
    let mut text = table.render(paint);
    if !all && stage.count_equal() > 0 {
        text += &paint.paint(Color::Dim, &format!("  {} equal", stage.count_equal()));
        text.push('\n');
    }
    text
}

fn value_text(value: Option<&Value>) -> String {
    let text = match value {
        None => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    beginning(&printable(&text), MAX_VALUE_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_on_a_line() {
        assert_eq!(value_text(Some(&"a\nb".into())), "a b");
        assert_eq!(value_text(Some(&"x".repeat(50).into())).chars().count(), MAX_VALUE_LENGTH + 1);
        assert_eq!(value_text(None), "–");
    }
}

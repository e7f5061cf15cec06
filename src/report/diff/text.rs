//! A comparison as text.

use serde_json::Value;

use super::{Compared, Diff};
use lab::text::{Align, Color, Paint, TextTable};

/// Longer values are cut.
const LONGEST: usize = 40;

impl Diff {
    /// The stages that differ, each with its rows; then those that are equal, and those that only one side has.
    pub fn text(&self, all: bool, paint: Paint) -> String {
        let [a, b] = &self.names;
        let mut text = format!("A  {a}\nB  {b}\n");
        for stage in self
            .stages
            .iter()
            .filter(|stage| stage.there == [true, true] && (all || !stage.is_equal()))
        {
            text += &format!(
                "\n{}\n{}",
                paint.paint(Color::Bold, &stage.stage.to_string()),
                rows(stage, all, paint)
            );
        }
        let lists = [
            ("equal", self.named(Compared::is_equal)),
            ("only in A", self.named(|stage| stage.there == [true, false])),
            ("only in B", self.named(|stage| stage.there == [false, true])),
        ];
        for (title, names) in lists {
            if !names.is_empty() && (!all || title != "equal") {
                text += &format!("\n{title}: {}\n", names.join(", "));
            }
        }
        text
    }

    fn named(&self, fits: impl Fn(&Compared) -> bool) -> Vec<String> {
        self.stages
            .iter()
            .filter(|stage| fits(stage))
            .map(|stage| stage.stage.to_string())
            .collect()
    }
}

fn rows(stage: &Compared, all: bool, paint: Paint) -> String {
    let title = |title: &str| (title.to_owned(), Align::Left);
    let mut table = TextTable::new([title(""), title(""), title("A"), title("B")]);
    for row in stage.rows.iter().filter(|row| all || !row.is_equal()) {
        let color = (all && row.is_equal()).then_some(Color::Dim);
        let [a, b] = &row.values;
        let cells = [
            format!("  {}", row.fact.about.word()),
            row.fact.name.clone(),
            shown(a.as_ref()),
            shown(b.as_ref()),
        ];
        table.row(cells.map(|cell| (cell, color)));
    }
    let mut text = table.render(paint);
    if !all && stage.equal() > 0 {
        text += &paint.paint(Color::Dim, &format!("  {} equal", stage.equal()));
        text.push('\n');
    }
    text
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_on_a_line() {
        assert_eq!(shown(Some(&"a\nb".into())), "a b");
        assert_eq!(shown(Some(&"x".repeat(50).into())).chars().count(), LONGEST + 1);
        assert_eq!(shown(None), "–");
    }
}

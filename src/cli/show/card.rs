//! Lines of text, each with a label.

use lab::text::printable;

/// The width of the column of labels.
const LABEL_WIDTH: usize = 10;

/// Lines of `label      value`.
#[derive(Default)]
pub struct Card(String);

impl Card {
    /// Adds a line, unless the value is empty.
    pub fn line(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            let line = format!("{label:<LABEL_WIDTH$}  {}", printable(value));
            self.0 += line.trim_end();
            self.0.push('\n');
        }
    }

    /// Adds a line for each value, with the label on the first.
    pub fn lines(&mut self, label: &str, values: impl IntoIterator<Item = String>) {
        let mut label = label;
        for value in values {
            self.line(label, &value);
            label = "";
        }
    }

    /// The finished text.
    pub fn text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Card;

    #[test]
    fn a_value_stays_on_its_line() {
        let mut card = Card::default();
        card.line("stage", "a\x1b[31m\nkey  forged");
        assert_eq!(card.text(), "stage       a key  forged\n");
    }

    #[test]
    fn a_label_is_written_once() {
        let mut card = Card::default();
        card.line("key", "ab");
        card.line("empty", "");
        card.lines("inputs", ["one".to_owned(), "two".to_owned()]);
        assert_eq!(card.text(), "key         ab\ninputs      one\n            two\n");
    }
}

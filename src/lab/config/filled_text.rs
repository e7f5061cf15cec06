//! A text while its templates are filled in, which may turn out to have placeholders.

use super::{ConfigValue, ValueData};

/// A text while it is filled in.
#[derive(Default)]
pub(super) struct FilledText {
    /// Braces are doubled once it has a placeholder.
    text: String,
    is_template: bool,
}

impl FilledText {
    pub(super) fn push(&mut self, text: &str) {
        if self.is_template {
            self.text.push_str(&doubled(text));
        } else {
            self.text.push_str(text);
        }
    }

    pub(super) fn push_placeholder(&mut self, name: &str) {
        self.become_template();
        self.text.extend(["{", name, "}"]);
    }

    /// Adds a value as text. Returns false for a list or a table, which is none.
    pub(super) fn push_value(&mut self, value: &ConfigValue) -> bool {
        match &value.data {
            ValueData::List(_) | ValueData::Table(_) => return false,
            ValueData::Template(text) => {
                self.become_template();
                self.text.push_str(text);
            }
            _ => self.push(&value.plain_text()),
        }
        true
    }

    /// In bytes.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    fn become_template(&mut self) {
        if !self.is_template {
            self.text = doubled(&self.text);
            self.is_template = true;
        }
    }

    pub(super) fn into_value(self) -> ConfigValue {
        if self.is_template {
            ValueData::Template(self.text).into()
        } else {
            self.text.into()
        }
    }
}

fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

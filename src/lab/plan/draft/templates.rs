//! The texts of a program, words of its command line and environment variables: those that a worker fills in, and numbers, which are texts
//! there.

use super::DraftReader;
use crate::config::{ConfigTable, ConfigValue, Diagnostic, ValueData};
use crate::stage::{Kind, Template};

/// The param of kinds that start a program whose values are environment variables.
const VARIABLES: &str = "env";

impl DraftReader<'_, '_> {
    /// The params, with a [`Template`] in the place of each text with placeholders where the kind takes these, and a text in the place of a
    /// number (`"{width}"` alone is the value of `width` itself). Anywhere else a text with placeholders is an error when it is read.
    pub(super) fn with_templates(&mut self, kind: &Kind, mut params: ConfigTable) -> ConfigTable {
        let Some(command_line) = kind.command_line else { return params };
        match params.get_mut(command_line).map(|words| &mut words.data) {
            Some(ValueData::List(words)) => words.iter_mut().for_each(mark),
            // A text where a list of words must be: that is what is wrong with it, and not its placeholder.
            Some(data) => {
                if let ValueData::Template(text) = data {
                    *data = ValueData::Text(std::mem::take(text));
                }
            }
            None => {}
        }
        if let Some(ValueData::Table(variables)) = params.get_mut(VARIABLES).map(|variables| &mut variables.data) {
            for (name, value) in variables.iter_mut() {
                if value.as_table().is_some() {
                    let message = format!("the variable `{name}` must be a text, not {}", value.describe());
                    self.problems.push(Diagnostic::new(message).at(value.at()));
                    value.data = ValueData::Text(String::new());
                }
                mark(value);
            }
        }
        params
    }
}

fn mark(value: &mut ConfigValue) {
    match &value.data {
        ValueData::Template(text) => value.data = ConfigValue::from(Template::new(text.as_str()).param()).data,
        ValueData::Integer(_) | ValueData::Float(_) | ValueData::Bool(_) => value.data = ValueData::Text(value.plain_text()),
        _ => {}
    }
}

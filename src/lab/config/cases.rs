//! Params with a value for each value of another: `steps = { by = "task", algebra = 8000, else = 12000 }`.

use super::nearest::{known, nearest};
use super::template::{TemplateNames, is_name};
use super::{ConfigTable, ConfigValue, Diagnostic, ValueData, text};

/// The key whose value names the deciding param or axis.
pub(super) const BY: &str = "by";
/// The key of the value for all others.
pub(super) const ELSE: &str = "else";

/// Whether a case is this number, however both are written: `1e-3` is 0.001, and 1 is 1.0.
fn is_number(case: &str, number: &ValueData) -> bool {
    let Some(case) = is_of_numbers(number).then(|| text::number(case)).flatten() else {
        return false;
    };
    match (&case, number) {
        (ValueData::Integer(whole), ValueData::Float(float)) | (ValueData::Float(float), ValueData::Integer(whole)) => {
            // Both ways, as a whole number of more than 53 bits has no float.
            *float == *whole as f64 && *float as i128 == *whole
        }
        (case, number) => case == number,
    }
}

fn is_of_numbers(data: &ValueData) -> bool {
    matches!(data, ValueData::Integer(_) | ValueData::Float(_))
}

/// Whether a case is the number that a text is.
pub(super) fn is_written_number(case: &str, value: &str) -> bool {
    text::number(value).is_some_and(|number| is_number(case, &number))
}

/// The cases of one param.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cases<'a> {
    param: &'a str,
    table: &'a ConfigValue,
    fields: &'a ConfigTable,
    by: &'a ConfigValue,
    /// The param or axis that decides.
    pub name: &'a str,
}

impl<'a> Cases<'a> {
    /// The cases that `table` has for `param`.
    ///
    /// # Errors
    /// When it does not name the deciding param or axis, or a case is itself a table.
    pub fn read(param: &'a str, table: &'a ConfigValue, fields: &'a ConfigTable) -> Result<Self, Diagnostic> {
        let Some(by) = fields.get(BY) else {
            let message = format!("param `{param}` must be a scalar, a list or a table of cases: `{BY}` is missing");
            let help = format!("write `{param} = {{ {BY} = \"task\", algebra = 8000, {ELSE} = 12000 }}`, or a value without cases");
            return Err(Diagnostic::new(message).at(table.key_at()).help(help));
        };
        let Some(name) = by.as_str().filter(|name| is_name(name)) else {
            let message = format!("`{BY}` must be the name of a param or an axis, not {}", by.describe());
            return Err(Diagnostic::new(message).at(by.at()));
        };
        if let Some((case, value)) = fields.iter().find(|(_, value)| value.as_table().is_some()) {
            let message = format!("`{param}.{case}` must be a scalar or a list, not a table");
            return Err(Diagnostic::new(message).at(value.at()));
        }
        Ok(Self {
            param,
            table,
            fields,
            by,
            name,
        })
    }

    /// The value for what `names` has under the name that decides.
    ///
    /// # Errors
    /// When there is no such name, or no case for its value.
    pub fn choose(&self, names: &impl TemplateNames) -> Result<&'a ConfigValue, Diagnostic> {
        let Some(decides) = names.get(self.name) else {
            let message = format!("no param or axis `{}` ({})", self.name, known(names.all()));
            let suggestion = nearest(self.name, names.all());
            return Err(Diagnostic::new(message).at(self.by.at()).suggest(suggestion));
        };
        let case = decides.plain_text();
        let cases = || self.fields.keys().map(String::as_str).filter(|case| ![BY, ELSE].contains(case));
        let exact = Some(case.as_str()).filter(|case| ![BY, ELSE].contains(case) && self.fields.contains_key(*case));
        let found = exact.or_else(|| cases().find(|name| is_number(name, &decides.data)));
        self.fields.get(found.unwrap_or(ELSE)).ok_or_else(|| {
            let message = format!(
                "param `{}` has no case for `{}` = {case} ({})",
                self.param,
                self.name,
                known(cases())
            );
            let help = format!("add it, or `{ELSE}` for all others");
            let diagnostic = Diagnostic::new(message).at(self.table.key_at());
            diagnostic.suggest(nearest(&case, cases())).help(help)
        })
    }
}

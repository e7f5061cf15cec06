//! Params and axes that nothing uses: usually a mistake. Only those that the experiment itself, `--set` or a variable gives are checked:
//! it may leave those of a file that it extends unused.

use std::collections::BTreeSet;

use super::axis::{SEED, is_axis};
use super::nearest::nearest;
use super::scope::used;
use super::template::is_name;
use super::{ConfigValue, Diagnostic, Document, Location, ValueData};

/// Whether the value at this place comes from the experiment's own file, `--set` or a variable.
pub(super) fn is_own(document: &Document, at: &Location) -> bool {
    let name = at.source.name.as_str();
    name == "--set" || name.starts_with("RUNNER_") || document.file.to_str() == Some(name)
}

/// A warning for each of them.
pub(super) fn unused(document: &Document) -> Vec<Diagnostic> {
    let declared = ["params", "matrix"].into_iter().flat_map(|table| {
        let what = if table == "params" { "param" } else { "axis" };
        document.entries(table).into_iter().map(move |(name, value)| (what, name, value))
    });
    let warning = |(what, name, value): (&str, &str, &ConfigValue)| {
        let at = value.key_at()?;
        // Every stage follows the seed.
        if document.used.contains(name) || name == SEED || !is_axis(name, value) || !is_own(document, &at) {
            return None;
        }
        let known = document.used.iter().map(String::as_str);
        Some(
            Diagnostic::new(format!("nothing uses the {what} `{name}`"))
                .suggest(nearest(name, known))
                .at(Some(at)),
        )
    };
    declared.filter_map(warning).collect()
}

/// Adds the names that a value uses: those within braces, those within brackets, as references have them, and those by which cases are
/// chosen.
pub(super) fn collect(value: &ConfigValue, names: &mut BTreeSet<String>) {
    match &value.data {
        ValueData::Table(fields) => {
            names.extend(fields.get("by").and_then(ConfigValue::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, names));
        }
        ValueData::List(items) => items.iter().for_each(|value| collect(value, names)),
        ValueData::Text(text) => {
            names.extend(used(value));
            let inner = text.split('[').skip(1).filter_map(|rest| rest.split(']').next());
            let words = inner.flat_map(|inner| inner.split(|c: char| !(c.is_alphanumeric() || c == '_')));
            names.extend(words.filter(|word| is_name(word)).map(str::to_owned));
        }
        _ => {}
    }
}

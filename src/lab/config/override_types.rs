//! The type of a value given outside files, held against that of the value whose place it takes: `1.10` for `"1.9"` would be 1.1.

use super::cases::BY;
use super::overrides::Assignment;
use super::slip::slip;
use super::{ConfigTable, ConfigValue, Diagnostic, ValueData, text};

/// Params that are one template each are followed so far.
const MAX_USES: usize = 8;
/// The items of a list that those of another are held against.
const MAX_COMPARED: usize = 1_000;

/// Holds the type of a value against that of the value whose place it takes. Returns a warning where another one may be meant.
///
/// # Errors
/// When it is another one by mistake: a word in the place of a number, a number in the place of a text such as `"1.9"`.
pub(super) fn check_type(given: &Assignment, tree: &ConfigTable) -> Result<Option<Diagnostic>, Diagnostic> {
    let Some((_, rest)) = given.path.split_first() else {
        return Ok(None);
    };
    let before = replaced(&given.path, tree);
    TypeChecker { given, tree }.check(&rest.join("."), &before, &given.value, true)
}

/// The values whose place one at `path` takes.
fn replaced<'a>(path: &[String], tree: &'a ConfigTable) -> Vec<&'a ConfigValue> {
    let at = |path: &[String]| {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(tree.get(first)?, |found, part| found.get(part))
    };
    let param = match path {
        [table, name] if ["matrix", "ablate"].contains(&table.as_str()) => at(&["params".to_owned(), name.clone()]),
        // A new case is like the others.
        [table, name, case] if table == "params" && at(path).is_none() && case != BY => at(&["params".to_owned(), name.clone()]),
        _ => None,
    };
    at(path).or(param).into_iter().collect()
}

struct TypeChecker<'a> {
    given: &'a Assignment,
    tree: &'a ConfigTable,
}

impl<'a> TypeChecker<'a> {
    /// Holds `value` against the values that may stand in its place. `is_whole` says that it is all that was given.
    fn check(&self, name: &str, before: &[&'a ConfigValue], value: &ConfigValue, is_whole: bool) -> Result<Option<Diagnostic>, Diagnostic> {
        match &value.data {
            ValueData::List(items) => {
                let before: Vec<&ConfigValue> = before.iter().flat_map(|before| before.items()).take(MAX_COMPARED).collect();
                first(items.iter().map(|item| self.check(name, &before, item, false)))
            }
            ValueData::Table(fields) => first(fields.iter().map(|(field, value)| {
                let before = before.iter().filter_map(|before| match before.get(field) {
                    Some(found) => Some(found),
                    None => before.get(BY).filter(|_| field != BY).map(|_| *before),
                });
                self.check(&format!("{name}.{field}"), &before.collect::<Vec<_>>(), value, false)
            })),
            _ => {
                let mut possible = Vec::new();
                before.iter().for_each(|before| self.resolve(before, MAX_USES, &mut possible));
                self.scalar(name, &possible, value, is_whole)
            }
        }
    }

    /// The first error, else the first warning.
    /// The values that one may have: all its cases, or those of the name that is its template.
    fn resolve(&self, value: &'a ConfigValue, depth: usize, possible: &mut Vec<&'a ConfigValue>) {
        match &value.data {
            ValueData::Table(cases) if cases.contains_key(BY) => {
                let cases = cases.iter().filter(|(case, _)| *case != BY);
                cases.for_each(|(_, value)| self.resolve(value, depth, possible));
            }
            ValueData::Text(text) => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                // It has the type of the name; of an expression, or a name that only a stage has, it is not known.
                Some(inner) if !inner.contains(['{', '}']) => {
                    let entry = |table: &str| self.tree.get(table)?.get(inner.trim());
                    match (entry("matrix"), entry("params")) {
                        _ if depth == 0 => {}
                        (Some(axis), _) => axis.items().iter().for_each(|value| self.resolve(value, depth - 1, possible)),
                        (None, Some(param)) => self.resolve(param, depth - 1, possible),
                        (None, None) => {}
                    }
                }
                _ => possible.push(value),
            },
            _ => possible.push(value),
        }
    }

    fn scalar(&self, name: &str, possible: &[&ConfigValue], value: &ConfigValue, is_whole: bool) -> Result<Option<Diagnostic>, Diagnostic> {
        let is_word = self.given.is_word && is_whole;
        let is_template = |text: &str| text.contains('{') && text.contains('}');
        if value.as_str().is_some_and(is_template) {
            return Ok(None);
        }
        // Of several types, one is meant.
        let is_one_of = possible.iter().any(|before| is_alike(&before.data, &value.data));
        let is_harmed = |before: &&&ConfigValue| is_simple(&value.data) && before.as_str().is_some_and(|text| is_changed(text, value));
        let before = possible.iter().find(is_harmed).or(possible.first());
        let (Some(before), false) = (before, is_one_of) else {
            return Ok(None);
        };
        let place = before.at().map(|at| format!(" ({at})")).unwrap_or_default();
        match (&before.data, &value.data) {
            (ValueData::List(_), ValueData::Text(text)) if is_word && self.has_lists() => {
                let message = format!("`{name}` is a list in the experiment{place}, and `{text}` is none");
                let items: Vec<ConfigValue> = text.split(',').map(|item| ConfigValue::from(item.trim())).collect();
                let help = ended(&format!("as a list, write `{}", self.given.before), &ConfigValue::from(items));
                Err(Diagnostic::new(message).at(value.at()).help(help))
            }
            (ValueData::List(items), data) if is_simple(data) => {
                self.check(name, &items.iter().take(MAX_COMPARED).collect::<Vec<_>>(), value, is_whole)?;
                let message = format!("`{name}` is a list in the experiment{place}, and {} is none", value.describe());
                Ok(self.has_lists().then(|| Diagnostic::new(message).at(value.at())))
            }
            (before, ValueData::Text(text)) if is_simple(before) && is_word => Err(self.word(name, before, &place, value, text)),
            (ValueData::Text(text), data) if is_simple(data) && is_changed(text, value) => {
                let message = format!(
                    "`{name}` is a text in the experiment, {text:?}{place}, and {} is none",
                    value.describe()
                );
                let written = ConfigValue::from(value.at().map_or_else(String::new, |at| at.text().to_owned()));
                let help = if is_whole {
                    ended(&format!("as a text, write `{}", self.given.before), &written)
                } else {
                    format!("a text is quoted: `{}`", written.toml())
                };
                Err(Diagnostic::new(message).at(value.at()).help(help))
            }
            (ValueData::Text(_) | ValueData::Integer(_), ValueData::Float(_) | ValueData::Bool(_))
            | (ValueData::Text(_), ValueData::Integer(_))
            | (ValueData::Float(_), ValueData::Bool(_))
            | (ValueData::Bool(_), ValueData::Integer(_) | ValueData::Float(_)) => Ok(Some(of_another_type(name, before, &place, value))),
            // A whole value in quotes is meant.
            (number, ValueData::Text(_)) if is_simple(number) && !is_whole => Ok(Some(of_another_type(name, before, &place, value))),
            _ => Ok(None),
        }
    }

    /// The message about a word in the place of a number, or of true or false.
    fn word(&self, name: &str, before: &ValueData, place: &str, value: &ConfigValue, text: &str) -> Diagnostic {
        let is_truth = matches!(before, ValueData::Bool(_));
        let what = if is_truth { "true or false" } else { "a number" };
        let was = ConfigValue::from(before.clone()).describe();
        let message = format!("`{name}` is {what} in the experiment, {was}{place}, and `{text}` is not");
        let help = ended(&format!("as a text, write `{}", self.given.before), &ConfigValue::from(text));
        let problem = Diagnostic::new(message).at(value.at()).help(help);
        match is_truth.then(|| truth(text)).flatten() {
            Some(meant) => problem.label(format!("did you mean `{meant}`?")),
            None => problem,
        }
    }

    /// Whether a list and a single value differ here: fields of stages and settings may take either.
    fn has_lists(&self) -> bool {
        let path: Vec<&str> = self.given.path.iter().map(String::as_str).collect();
        matches!(path.as_slice(), ["params", ..] | ["stages", _, "params", ..])
    }
}

/// The first error, else the first warning.
fn first(checks: impl Iterator<Item = Result<Option<Diagnostic>, Diagnostic>>) -> Result<Option<Diagnostic>, Diagnostic> {
    let warnings: Vec<Option<Diagnostic>> = checks.collect::<Result<_, _>>()?;
    Ok(warnings.into_iter().flatten().next())
}

/// The end of a help: the value as TOML, in the quotes that were begun.
fn ended(begun: &str, value: &ConfigValue) -> String {
    format!("{begun}{}'`", value.toml())
}

/// The warning about a value of another type.
fn of_another_type(name: &str, before: &ConfigValue, place: &str, value: &ConfigValue) -> Diagnostic {
    let message = format!(
        "`{name}` is {} in the experiment{place}, and {} is of another type",
        before.describe(),
        value.describe()
    );
    Diagnostic::new(message).at(value.at())
}

fn is_simple(data: &ValueData) -> bool {
    matches!(data, ValueData::Integer(_) | ValueData::Float(_) | ValueData::Bool(_))
}

/// Whether one value may take the place of another without a word: a whole number is also a number with decimals.
fn is_alike(before: &ValueData, value: &ValueData) -> bool {
    matches!((before, value), (ValueData::Float(_), ValueData::Integer(_)))
        || std::mem::discriminant(before) == std::mem::discriminant(value)
}

/// Whether a number in the place of the text `before` is a text without its quotes: the other one looks like a number, or it is not
/// printed as it is written (`1.10`, `1e5`, `0x10`).
fn is_changed(before: &str, value: &ConfigValue) -> bool {
    let is_printed = value.at().is_none_or(|at| at.text() == value.toml());
    text::is_simple(before) || slip(before).is_some() || !is_printed
}

/// `yes` and `no` as TOML writes them.
fn truth(word: &str) -> Option<&'static str> {
    match word.to_lowercase().as_str() {
        "yes" | "on" | "y" | "t" => Some("true"),
        "no" | "off" | "n" | "f" => Some("false"),
        _ => None,
    }
}

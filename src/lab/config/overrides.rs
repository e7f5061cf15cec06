//! Values given outside files: `RUNNER_…` variables, `--set`, and the flags that are settings.

use std::sync::Arc;

use super::nearest::{known, nearest};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, LoadOptions, Location, OriginCounter, SourceText, text};

/// Settings with a variable of their own (`RUNNER_STORE`).
const VARIABLES: [&str; 4] = ["store", "jobs", "threads", "device"];
/// Settings that are text, whatever the value looks like.
const TEXTS: [&str; 2] = ["store", "device"];
/// Tables whose values `--set` may change.
const TABLES: [&str; 9] = [
    "params", "matrix", "ablate", "defaults", "stages", "models", "prompts", "sources", "settings",
];
/// Tables in which `--set` makes no new entry: it would be a slip.
const CLOSED: [&str; 5] = ["params", "stages", "models", "prompts", "sources"];

/// A value for one key.
pub(super) struct Assignment {
    /// `["params", "iterations"]`; one key alone is a param's.
    path: Vec<String>,
    value: ConfigValue,
    /// Where the key stands.
    key: Location,
}

impl Assignment {
    /// A tree with this value alone.
    pub fn into_layer(self) -> ConfigTable {
        let Self { mut path, mut value, .. } = self;
        let origin = value.origin.clone();
        while path.len() > 1 {
            let key = path.pop().unwrap_or_default();
            value = ConfigValue::table(ConfigTable::from([(key, value)]), origin.clone());
        }
        ConfigTable::from([(path.pop().unwrap_or_default(), value)])
    }
}

/// `RUNNER_STORE`, `RUNNER_PARAMS__ITERATIONS`, …; all other variables, and empty ones, are left alone.
pub(super) fn environment(variables: &[(String, String)], origins: &mut OriginCounter) -> Vec<Assignment> {
    let mut found = Vec::new();
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix("RUNNER_").map(str::to_lowercase) else {
            continue;
        };
        let path = match name.split_once("__") {
            Some((table @ ("params" | "settings" | "matrix"), key)) => vec![table.to_owned(), key.to_owned()],
            None if VARIABLES.contains(&name.as_str()) => vec!["settings".to_owned(), name],
            _ => continue,
        };
        if !value.is_empty() {
            let (name, text) = (variable.clone(), value.clone());
            found.push(assignment(path, &Arc::new(SourceText { name, text }), 0, 0, origins));
        }
    }
    found
}

/// `--set key=value`, then flags such as `--store`.
pub(super) fn command_line(options: &LoadOptions, origins: &mut OriginCounter, problems: &mut Diagnostics) -> Vec<Assignment> {
    let mut found = Vec::new();
    for given in &options.set {
        let (name, text) = ("--set".to_owned(), given.clone());
        let source = Arc::new(SourceText { name, text });
        match given.split_once('=') {
            Some((key, _)) if !key.trim().is_empty() => {
                found.push(assignment(split(key), &source, key.len(), key.len() + 1, origins));
            }
            _ => {
                let at = Some(Location {
                    source,
                    span: 0..given.len(),
                });
                let help = "for example `--set iterations=2` or `--set stages.problems.train=100`";
                problems.push(Diagnostic::new(format!("`{given}` is not `key=value`")).at(at).help(help));
            }
        }
    }
    for (setting, value) in &options.settings {
        let (name, text) = (format!("--{}", setting.replace('_', "-")), value.clone());
        let path = vec!["settings".to_owned(), setting.clone()];
        found.push(assignment(path, &Arc::new(SourceText { name, text }), 0, 0, origins));
    }
    found
}

/// A value that begins at byte `start` of `source`, after a key of `key` bytes (0: the source names it).
fn assignment(path: Vec<String>, source: &Arc<SourceText>, key: usize, start: usize, origins: &mut OriginCounter) -> Assignment {
    let is_text = match path.as_slice() {
        [table, key] if table == "settings" => TEXTS.contains(&key.as_str()),
        // A path, but for a whole table.
        [table, _] if table == "sources" => !source.text.get(start..).unwrap_or_default().trim_start().starts_with('{'),
        _ => false,
    };
    let value = if is_text {
        text::plain(source, start, origins)
    } else {
        text::value(source, start, origins)
    };
    // A variable's key is its name: messages about it point to the value.
    let span = if key == 0 { start..source.text.len() } else { 0..key };
    let source = Arc::clone(source);
    Assignment {
        path,
        value,
        key: Location { source, span },
    }
}

/// Splits a key at its dots; those within quotes or brackets belong to a part.
fn split(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quote, mut depth) = (None, 0i32);
    for c in key.trim().chars() {
        match c {
            '"' | '\'' if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            '.' if quote.is_none() && depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(c == '[') - i32::from(c == ']');
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// Checks that an override changes something there is; a key alone becomes the param's path.
pub(super) fn locate(mut given: Assignment, tree: &ConfigTable) -> Result<Assignment, Diagnostic> {
    let entries = |table: &str| tree.get(table).and_then(ConfigValue::as_table).into_iter().flatten();
    let has = |table: &str, key: &str| entries(table).any(|(name, _)| name == key);
    let head = given.path.first().cloned().unwrap_or_default();
    if given.path.len() == 1 && !TABLES.contains(&head.as_str()) {
        given.path.insert(0, "params".to_owned());
    }
    let (Some(table), Some(key)) = (given.path.first(), given.path.get(1)) else {
        let message = format!("`{head}` is a table: name one of its values, as in `--set {head}.name=…`");
        return Err(Diagnostic::new(message).at(Some(given.key)));
    };
    if !TABLES.contains(&table.as_str()) {
        let message = format!("no table `{table}` to set a value in ({})", known(TABLES));
        return Err(Diagnostic::new(message).at(Some(given.key)).suggest(nearest(table, TABLES)));
    }
    if table == "params" && has("matrix", key) {
        let axis = entries("matrix").find(|(name, _)| *name == key).and_then(|(_, axis)| axis.key_at());
        let place = axis.map(|axis| format!(" ({axis})")).unwrap_or_default();
        let message = format!("`{key}` is an axis of the matrix{place}, which takes the place of a param");
        return Err(Diagnostic::new(message)
            .at(Some(given.key))
            .help(format!("write `--set 'matrix.{key}=[…]'`")));
    }
    if CLOSED.contains(&table.as_str()) && !has(table, key) {
        let names = || entries(table).map(|(name, _)| name.as_str());
        let what = table.strip_suffix('s').unwrap_or(table);
        let message = format!("no {what} `{key}` in this experiment ({})", known(names()));
        return Err(Diagnostic::new(message).at(Some(given.key)).suggest(nearest(key, names())));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_within_brackets_and_quotes_do_not_split() {
        assert_eq!(split("iterations"), ["iterations"]);
        assert_eq!(split("stages.mixed[k].mode"), ["stages", "mixed[k]", "mode"]);
        assert_eq!(split("stages.\"mixed[0]\".mode"), ["stages", "mixed[0]", "mode"]);
        assert_eq!(split("models.\"a.b\".width "), ["models", "a.b", "width"]);
    }

    #[test]
    fn only_known_variables_count() {
        let given = [
            ("RUNNER_STORE", "1"),
            ("RUNNER_JOBS", "4"),
            ("RUNNER_PARAMS__ITERATIONS", "2"),
            ("RUNNER_MATRIX__SEED", "[1, 2]"),
            ("RUNNER_SETTINGS__KEEP_GOING", "true"),
            ("RUNNER_DEVICE", ""),
            ("RUNNER_TEMP", "/tmp"),
            ("RUNNER_STAGES__X", "1"),
            ("PATH", "/bin"),
        ];
        let given: Vec<_> = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut origins = OriginCounter::default();
        let found = environment(&given, &mut origins);
        let found: Vec<String> = found
            .iter()
            .map(|given| format!("{}={}", given.path.join("."), given.value.toml()))
            .collect();
        insta::assert_snapshot!(found.join("\n"));
    }
}

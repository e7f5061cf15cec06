//! Values given outside files: `RUNNER_…` variables, `--set`, and the flags that are settings.

use std::sync::Arc;

use super::nearest::{known, nearest};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, LoadOptions, Location, OriginCounter, SourceText, ValueData, axis, text};

/// Settings with a variable of their own (`RUNNER_STORE`).
const VARIABLES: [&str; 4] = ["store", "jobs", "threads", "device"];
/// Settings that are text, whatever the value looks like.
const TEXTS: [&str; 2] = ["store", "device"];
/// Tables whose values `--set` may change.
const TABLES: [&str; 12] = [
    "params",
    "matrix",
    "ablate",
    "defaults",
    "stages",
    "models",
    "prompts",
    "sources",
    "environments",
    "tasks",
    "resources",
    "settings",
];
/// The most parts that a key may have.
const MAX_PARTS: usize = 32;
/// Those in which it may make a new entry. In the others that would be a slip.
const OPEN: [&str; 4] = ["matrix", "ablate", "defaults", "settings"];

/// A value for one key.
pub(super) struct Assignment {
    /// `["params", "iterations"]`; one key alone is a param's.
    pub(super) path: Vec<String>,
    pub(super) value: ConfigValue,
    /// Where the key stands.
    key: Location,
    /// Whether the value is a text that is not quoted.
    pub(super) is_word: bool,
    /// What is written before the value, for messages: `--set 'rate=`.
    pub(super) before: String,
}

impl Assignment {
    /// With the values of an axis, where it is a range, written out.
    pub(super) fn written_out(mut self) -> Result<Self, Diagnostic> {
        let axis = match self.path.as_slice() {
            [table, name] if table == "matrix" && axis::is_axis(name, &self.value) => name,
            _ => return Ok(self),
        };
        if let Some(values) = axis::values(axis, &self.value)? {
            (self.value.data, self.is_word) = (ValueData::List(values), false);
        }
        Ok(self)
    }

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
pub(super) fn environment(variables: &[(String, String)], origins: &mut OriginCounter, problems: &mut Diagnostics) -> Vec<Assignment> {
    let mut found: Vec<Assignment> = Vec::new();
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix("RUNNER_").map(str::to_lowercase) else {
            continue;
        };
        let path = match name.split_once("__") {
            Some((table @ ("params" | "settings" | "matrix"), key)) => vec![table.to_owned(), key.to_owned()],
            None if VARIABLES.contains(&name.as_str()) => vec!["settings".to_owned(), name],
            _ => continue,
        };
        if value.is_empty() {
            continue;
        }
        let (name, text) = (variable.clone(), value.clone());
        let given = Given {
            path,
            source: Arc::new(SourceText { name, text }),
            key: 0,
            start: 0,
            before: format!("{variable}='"),
        };
        match given.assignment(origins) {
            Ok(assignment) => {
                // Variables have no order.
                if let Some(other) = found
                    .iter()
                    .find(|other| other.path == assignment.path && other.value != assignment.value)
                {
                    let message = format!("`{}` and `{variable}` give one value differently", other.key.source.name);
                    problems.push(Diagnostic::new(message).at(Some(assignment.key.clone())));
                }
                found.push(assignment);
            }
            Err(problem) => problems.push(problem),
        }
    }
    found
}

/// `--set key=value`, then flags such as `--store`.
pub(super) fn command_line(options: &LoadOptions, origins: &mut OriginCounter, problems: &mut Diagnostics) -> Vec<Assignment> {
    let mut given = Vec::new();
    for text in &options.set {
        let (name, owned) = ("--set".to_owned(), text.clone());
        let source = Arc::new(SourceText { name, text: owned });
        match text.split_once('=') {
            Some((key, _)) if !key.trim().is_empty() => given.push(Given {
                path: split(key),
                source,
                key: key.len(),
                start: key.len() + 1,
                before: format!("--set '{}=", key.trim()),
            }),
            _ => {
                let at = Some(Location {
                    source,
                    span: 0..text.len(),
                });
                let help = "for example `--set iterations=2` or `--set stages.problems.train=100`";
                problems.push(Diagnostic::new(format!("`{text}` is not `key=value`")).at(at).help(help));
            }
        }
    }
    for (setting, value) in &options.settings {
        let (name, text) = (format!("--{}", setting.replace('_', "-")), value.clone());
        given.push(Given {
            path: vec!["settings".to_owned(), setting.clone()],
            before: format!("{name} '"),
            source: Arc::new(SourceText { name, text }),
            key: 0,
            start: 0,
        });
    }
    let mut found = Vec::with_capacity(given.len());
    for given in given {
        match given.assignment(origins) {
            Ok(assignment) => found.push(assignment),
            Err(problem) => problems.push(problem),
        }
    }
    found
}

/// A value as it was given.
struct Given {
    path: Vec<String>,
    source: Arc<SourceText>,
    /// The bytes of the key before the value (0: the source names it).
    key: usize,
    /// The byte at which the value begins.
    start: usize,
    /// What is written before the value, for messages.
    before: String,
}

impl Given {
    fn assignment(self, origins: &mut OriginCounter) -> Result<Assignment, Diagnostic> {
        let Self {
            path,
            source,
            key,
            start,
            before,
        } = self;
        let word = source.text.get(start..).unwrap_or_default().trim_start();
        let is_text = match path.as_slice() {
            [table, key] if table == "settings" => TEXTS.contains(&key.as_str()),
            // A path, but for a whole table; an address, a revision or a digest may look like a number.
            [table, _] if table == "sources" => !word.starts_with('{'),
            [table, _, key] if table == "sources" => key != "files" && !word.starts_with(['"', '\'']),
            // A prompt, braces and all.
            [table, _] if table == "prompts" => !word.starts_with(['"', '\'']),
            _ => false,
        };
        let value = if path.len() > MAX_PARTS {
            let span = 0..source.text.len();
            let at = Some(Location { source, span });
            return Err(Diagnostic::new(format!("a key has at most {MAX_PARTS} parts")).at(at));
        } else if is_text {
            text::plain(&source, start, origins)
        } else {
            text::value(&source, start, &before, origins).map_err(|problem| without_secrets(&path, problem))?
        };
        let is_word = is_text || (value.as_str().is_some() && !word.starts_with(['"', '\'']));
        if is_word
            && let Some(message) = hidden(
                value.as_str().unwrap_or_default(),
                path.first().is_some_and(|table| table == "settings"),
            )
        {
            return Err(without_secrets(&path, Diagnostic::new(message).at(value.at())));
        }
        // A variable's key is its name: messages about it point to the value.
        let span = if key == 0 { start..source.text.len() } else { 0..key };
        Ok(Assignment {
            path,
            is_word: is_word && !is_text,
            value,
            key: Location { source, span },
            before,
        })
    }
}

/// What is wrong with a text that has characters nobody sees; where it is a setting, line feeds and tabs are among them.
fn hidden(text: &str, is_setting: bool) -> Option<String> {
    let is_blank = |c: char| !is_setting && matches!(c, '\n' | '\t');
    match text.chars().find(|c| c.is_control() && !is_blank(*c))? {
        '\r' => Some(text::CARRIAGE_RETURN.to_owned()),
        found => Some(format!("there is the control character U+{:04X} in this value", u32::from(found))),
    }
}

/// The message alone where the value may hold a password, as addresses of remotes do by mistake.
fn without_secrets(path: &[String], problem: Diagnostic) -> Diagnostic {
    match path {
        [table, key, ..] if table == "settings" && key == "remotes" => {
            Diagnostic::new(problem.message).help("the value of `settings.remotes` is not shown: it may hold a password")
        }
        _ => problem,
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
        let problem = Diagnostic::new(message).at(Some(given.key)).suggest(nearest(table, TABLES));
        return Err(if has("params", table) {
            problem.help(format!(
                "a part of the param `{table}` is set with `params.{}=…`",
                given.path.join(".")
            ))
        } else {
            problem
        });
    }
    if table == "params" && has("matrix", key) {
        let axis = entries("matrix").find(|(name, _)| *name == key).and_then(|(_, axis)| axis.key_at());
        let place = axis.map(|axis| format!(" ({axis})")).unwrap_or_default();
        let message = format!("`{key}` is an axis of the matrix{place}, which takes the place of a param");
        return Err(Diagnostic::new(message)
            .at(Some(given.key))
            .help(format!("write `--set 'matrix.{key}=[…]'`")));
    }
    if !OPEN.contains(&table.as_str()) && !has(table, key) {
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
        let (mut origins, mut problems) = (OriginCounter::default(), Diagnostics::default());
        let found = environment(&given, &mut origins, &mut problems);
        assert!(problems.is_empty());
        let found: Vec<String> = found
            .iter()
            .map(|given| format!("{}={}", given.path.join("."), given.value.toml()))
            .collect();
        insta::assert_snapshot!(found.join("\n"));
    }
}

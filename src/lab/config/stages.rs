//! `[stages]` → the declarations of one variant: names with their indices, fields with their templates filled in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::limits::{MAX_NAME, Memory};
use super::scope::{Scope, diagnose, fill, fill_task};
use super::template::{self, is_name};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, StageDeclaration, ValueOrigin, document, limits, range};

/// The fields of a stage whose texts have fields of records in double braces, where they are tables: what it changes of its task, and what
/// the fields of rows are made of.
const WITH_FIELDS: [&str; 2] = ["task", "fields"];

/// The part of a stage's name, or of a pattern of names, before the index: `standard` of `standard[2]`.
pub fn base_name(name: &str) -> &str {
    name.split_once('[').map_or(name, |(base, _)| base)
}

/// The index in a stage's name: 2 of `standard[2]`.
pub fn name_index(name: &str) -> Option<i64> {
    name.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// A stage's name as it is written in the file.
pub(super) struct StageHeader<'a> {
    base: &'a str,
    pub(super) index: HeaderIndex<'a>,
}

pub(super) enum HeaderIndex<'a> {
    None,
    /// `mixed[0]`
    Literal(i64),
    /// `mixed[k]`
    Variable(&'a str),
}

impl<'a> StageHeader<'a> {
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let (base, index) = match name.split_once('[') {
            None => (name, HeaderIndex::None),
            Some((base, rest)) => {
                let inner = rest.strip_suffix(']')?.trim();
                let literal = inner.parse().map(HeaderIndex::Literal).ok();
                (base, literal.or_else(|| is_name(inner).then_some(HeaderIndex::Variable(inner)))?)
            }
        };
        word(base).then_some(Self { base, index })
    }
}

/// The kinds that `[defaults]` has a table for, each with the place of the table; `plan::build` checks that the kinds exist.
pub(super) fn defaults(document: &Document, problems: &mut Diagnostics) -> BTreeMap<String, ValueOrigin> {
    for (kind, value) in document.entries("defaults") {
        let Some(fields) = value.as_table() else {
            problems.push(document::not_a_table(&format!("defaults.{kind}"), value));
            continue;
        };
        for (field, value) in fields.iter().filter(|(field, _)| ["for", "kind"].contains(&field.as_str())) {
            let message = format!("`{field}` is each stage's own to say, and has no default");
            problems.push(Diagnostic::new(message).at(value.key_at()));
        }
    }
    let entries = document.entries("defaults").into_iter();
    entries.map(|(kind, value)| (kind.to_owned(), value.origin.clone())).collect()
}

/// The stages of one variant, and the bases of those that could not be read (references to them are not wrong as well).
pub(super) fn declarations(
    document: &Document,
    scope: &Scope,
    memory: &mut Memory,
    problems: &mut Diagnostics,
) -> (Vec<StageDeclaration>, BTreeSet<String>) {
    let entries = document.entries("stages");
    let mut expander = Expander {
        defaults: document.tree.get("defaults").and_then(ConfigValue::as_table),
        scope,
        memory,
        problems,
        declared: HashMap::new(),
        // Most entries are one stage. An experiment may have thousands of variants, so no room is left over.
        stages: Vec::with_capacity(entries.len()),
        unread: BTreeSet::new(),
    };
    for (name, value) in entries {
        let read = expander.stage(name, value, &document.declared("stages", name));
        if let Err(problem) = read {
            expander.problems.push(problem);
            expander.unread.insert(base_name(name).to_owned());
        }
    }
    (expander.stages, expander.unread)
}

struct Expander<'a> {
    /// Fields of stages that do not give them, by kind.
    defaults: Option<&'a ConfigTable>,
    scope: &'a Scope,
    memory: &'a mut Memory,
    problems: &'a mut Diagnostics,
    /// The place of the table that declares each name.
    declared: HashMap<String, ValueOrigin>,
    stages: Vec<StageDeclaration>,
    unread: BTreeSet<String>,
}

impl Expander<'_> {
    fn stage(&mut self, name: &str, value: &ConfigValue, origin: &ValueOrigin) -> Result<(), Diagnostic> {
        let fields = value
            .as_table()
            .ok_or_else(|| document::not_a_table(&format!("stages.{name}"), value))?;
        let here = |message: String| Diagnostic::new(message).at(origin.key());
        if name.len() > MAX_NAME {
            return Err(here(format!(
                "the name of a stage has at most {MAX_NAME} characters, and this one has {}",
                name.len()
            )));
        }
        let header = StageHeader::parse(name).ok_or_else(|| {
            here(format!("`{name}` cannot name a stage"))
                .help("letters, digits, `_` and `-`, and perhaps an index: `mixed`, `mixed[0]`, `mixed[k]`")
        })?;
        match (header.index, fields.get("for")) {
            (HeaderIndex::Variable(variable), Some(range)) => {
                for index in self.range(variable, range)? {
                    self.declare(header.base, Some(index), Some(variable), origin, fields);
                }
            }
            (HeaderIndex::Variable(variable), None) => {
                let help = format!("add `for.{variable} = \"0..=5\"` to the table");
                return Err(here(format!("stage `{name}` does not say which values `{variable}` takes")).help(help));
            }
            (_, Some(range)) => {
                let at = range.key_at();
                let help = format!("name it `[stages.\"{}[k]\"]`, with the index that `for` gives", header.base);
                let message = format!("stage `{name}` has a `for`, but no index in its name");
                return Err(Diagnostic::new(message).at(at).help(help));
            }
            (HeaderIndex::Literal(index), None) => self.declare(header.base, Some(index), None, origin, fields),
            (HeaderIndex::None, None) => self.declare(header.base, None, None, origin, fields),
        }
        Ok(())
    }

    /// The values of `for.variable`.
    fn range(&self, variable: &str, range: &ConfigValue) -> Result<Vec<i64>, Diagnostic> {
        let Some(ranges) = range.as_table() else {
            let help = format!("write `for.{variable} = \"0..=5\"`");
            return Err(Diagnostic::new(format!("`for` must be a table, not {}", range.describe()))
                .at(range.at())
                .help(help));
        };
        if let Some((other, value)) = ranges.iter().find(|(name, _)| *name != variable) {
            let message = format!("`for` gives `{other}`, but the index in the stage's name is `{variable}`");
            return Err(Diagnostic::new(message).at(value.key_at()));
        }
        let Some(range) = ranges.get(variable) else {
            return Err(Diagnostic::new(format!("`for` does not say which values `{variable}` takes")).at(range.at()));
        };
        if self.scope.get(variable).is_some() {
            let message = format!("the index `{variable}` has the name of a param or an axis");
            return Err(Diagnostic::new(message).at(range.key_at()).help("give the index another name"));
        }
        let filled = fill(range, &self.scope.indexed(None, None))?;
        if let Some(message) = filled.unfilled() {
            return Err(Diagnostic::new(message).at(range.at()));
        }
        range::values(&filled).map_err(|error| Diagnostic::new(error.to_string()).at(range.at()).help(range::RANGE_FORMS))
    }

    fn declare(&mut self, base: &str, index: Option<i64>, variable: Option<&str>, origin: &ValueOrigin, fields: &ConfigTable) {
        let name = index.map_or_else(|| base.to_owned(), |index| format!("{base}[{index}]"));
        if let Some(first) = self.declared.insert(name.clone(), origin.clone()) {
            let place = first.key().map(|first| format!("it is declared at {first} as well"));
            let diagnostic = Diagnostic::new(format!("stage `{name}` is declared twice")).at(origin.key());
            self.problems.push(place.into_iter().fold(diagnostic, Diagnostic::label));
            return;
        }
        let names = self.scope.indexed(variable, index);
        let mut stage = StageDeclaration {
            name,
            base: base.to_owned(),
            index,
            variable: variable.map(str::to_owned),
            fields: ConfigTable::new(),
            broken: BTreeSet::new(),
            origin: origin.clone(),
        };
        let kind = fields.get("kind").and_then(ConfigValue::as_str);
        let defaults = kind.and_then(|kind| self.defaults?.get(kind)?.as_table());
        let left_out = defaults.into_iter().flatten().filter(|(key, _)| !fields.contains_key(*key));
        for (key, value) in fields.iter().chain(left_out).filter(|(key, _)| *key != "for") {
            let filled = match value.as_table() {
                Some(_) if WITH_FIELDS.contains(&key.as_str()) => fill_task(value, &names),
                _ => fill(value, &names),
            };
            match filled {
                Ok(filled) => {
                    if !self.memory.take(key.len() + limits::bytes(&filled), self.problems) {
                        return;
                    }
                    stage.fields.insert(key.clone(), filled);
                }
                Err(problem) => {
                    if !self.scope.excuses(value) {
                        self.problems.push(problem);
                    }
                    stage.broken.insert(key.clone());
                }
            }
        }
        self.stages.push(stage);
    }
}

/// Fills in an index within a reference (`k-1`), whose bytes `span` of `text` it is.
///
/// # Errors
/// When it is no expression, a name in it is unknown, or it is no whole number.
pub fn index(
    text: &str,
    span: std::ops::Range<usize>,
    origin: &ValueOrigin,
    names: &impl template::TemplateNames,
) -> Result<i64, Diagnostic> {
    template::index(text, span, names).map_err(|error| diagnose(error, |span| origin.part(text, span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_base_and_perhaps_an_index() {
        assert_eq!(["score[12]", "score", "score[x]"].map(base_name), ["score"; 3]);
        assert_eq!(["score[12]", "score", "score[x]"].map(name_index), [Some(12), None, None]);
    }
}

//! `[stages]` → the declarations of one variant: names with their indices, fields with their templates filled in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use figment::value::{Dict, Tag, Value};

use super::scope::{Scope, diagnose, fill};
use super::template::{self, is_name};
use super::value::describe;
use super::{Diagnostic, Diagnostics, Document, Origins, StageDeclaration, layers, range};

/// What a stage's name in the file says.
struct Header<'a> {
    base: &'a str,
    index: Index<'a>,
}

enum Index<'a> {
    None,
    /// `mixed[0]`
    Literal(i64),
    /// `mixed[k]`
    Variable(&'a str),
}

impl<'a> Header<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        let (base, index) = match name.split_once('[') {
            None => (name, Index::None),
            Some((base, rest)) => {
                let inner = rest.strip_suffix(']')?.trim();
                let literal = inner.parse().map(Index::Literal).ok();
                (base, literal.or_else(|| is_name(inner).then_some(Index::Variable(inner)))?)
            }
        };
        word(base).then_some(Self { base, index })
    }
}

/// The kinds that `[defaults]` has a table for, and what leads to it; whether there are such kinds is for `plan::build` to say.
pub(super) fn defaults(document: &Document, problems: &mut Diagnostics) -> BTreeMap<String, Tag> {
    let origins = &document.origins;
    for (kind, value) in document.entries("defaults") {
        let Some(fields) = value.as_dict() else {
            problems.push(layers::not_a_table(&format!("defaults.{kind}"), value, origins));
            continue;
        };
        for (field, value) in fields.iter().filter(|(field, _)| ["for", "kind"].contains(&field.as_str())) {
            let message = format!("`{field}` is each stage's own to say, and has no default");
            problems.push(Diagnostic::new(message).at(origins.key(value.tag())));
        }
    }
    let entries = document.entries("defaults").into_iter();
    entries.map(|(kind, value)| (kind.to_owned(), value.tag())).collect()
}

/// The stages of one variant, and the bases of those that could not be read (references to them are not wrong as well).
pub(super) fn declarations(document: &Document, scope: &Scope, problems: &mut Diagnostics) -> (Vec<StageDeclaration>, BTreeSet<String>) {
    let mut expander = Expander {
        origins: &document.origins,
        defaults: document.tree.get("defaults").and_then(Value::as_dict),
        scope,
        problems,
        declared: HashMap::new(),
        stages: Vec::new(),
        unread: BTreeSet::new(),
    };
    for (name, value) in document.entries("stages") {
        let read = expander.stage(name, value, document.declared("stages", name));
        if let Err(problem) = read {
            expander.problems.push(problem);
            expander.unread.insert(name.split('[').next().unwrap_or(name).to_owned());
        }
    }
    (expander.stages, expander.unread)
}

struct Expander<'a> {
    origins: &'a Origins,
    /// Fields of stages that do not give them, by kind.
    defaults: Option<&'a Dict>,
    scope: &'a Scope,
    problems: &'a mut Diagnostics,
    /// The tag of the table that declares each name.
    declared: HashMap<String, Tag>,
    stages: Vec<StageDeclaration>,
    unread: BTreeSet<String>,
}

impl Expander<'_> {
    fn stage(&mut self, name: &str, value: &Value, tag: Tag) -> Result<(), Diagnostic> {
        let fields = value
            .as_dict()
            .ok_or_else(|| layers::not_a_table(&format!("stages.{name}"), value, self.origins))?;
        let here = |message: String| Diagnostic::new(message).at(self.origins.key(tag));
        let header = Header::parse(name).ok_or_else(|| {
            here(format!("`{name}` cannot name a stage"))
                .help("letters, digits, `_` and `-`, and perhaps an index: `mixed`, `mixed[0]`, `mixed[k]`")
        })?;
        match (header.index, fields.get("for")) {
            (Index::Variable(variable), Some(range)) => {
                for index in self.range(variable, range)? {
                    self.declare(header.base, Some(index), Some(variable), tag, fields);
                }
            }
            (Index::Variable(variable), None) => {
                let help = format!("add `for.{variable} = \"0..=5\"` to the table");
                return Err(here(format!("stage `{name}` does not say which values `{variable}` takes")).help(help));
            }
            (_, Some(range)) => {
                let at = self.origins.key(range.tag());
                let help = format!("name it `[stages.\"{}[k]\"]`, with the index that `for` gives", header.base);
                let message = format!("stage `{name}` has a `for`, but no index in its name");
                return Err(Diagnostic::new(message).at(at).help(help));
            }
            (Index::Literal(index), None) => self.declare(header.base, Some(index), None, tag, fields),
            (Index::None, None) => self.declare(header.base, None, None, tag, fields),
        }
        Ok(())
    }

    /// The values of `for.variable`.
    fn range(&self, variable: &str, range: &Value) -> Result<Vec<i64>, Diagnostic> {
        let at = |tag| self.origins.value(tag);
        let Some(ranges) = range.as_dict() else {
            let help = format!("write `for.{variable} = \"0..=5\"`");
            return Err(Diagnostic::new(format!("`for` must be a table, not {}", describe(range)))
                .at(at(range.tag()))
                .help(help));
        };
        if let Some((other, value)) = ranges.iter().find(|(name, _)| *name != variable) {
            let message = format!("`for` gives `{other}`, but the index in the stage's name is `{variable}`");
            return Err(Diagnostic::new(message).at(self.origins.key(value.tag())));
        }
        let Some(range) = ranges.get(variable) else {
            return Err(Diagnostic::new(format!("`for` does not say which values `{variable}` takes")).at(at(range.tag())));
        };
        if self.scope.get(variable).is_some() {
            let message = format!("the index `{variable}` has the name of a param or an axis");
            return Err(Diagnostic::new(message)
                .at(self.origins.key(range.tag()))
                .help("give the index another name"));
        }
        let filled = fill(range, &self.scope.indexed(None, None), self.origins)?;
        range::values(&filled).map_err(|error| Diagnostic::new(error.to_string()).at(at(range.tag())).help(range::FORMS))
    }

    fn declare(&mut self, base: &str, index: Option<i64>, variable: Option<&str>, tag: Tag, fields: &Dict) {
        let name = index.map_or_else(|| base.to_owned(), |index| format!("{base}[{index}]"));
        if let Some(first) = self.declared.insert(name.clone(), tag) {
            let place = self.origins.key(first).map(|first| format!("it is declared at {first} as well"));
            let diagnostic = Diagnostic::new(format!("stage `{name}` is declared twice")).at(self.origins.key(tag));
            self.problems.push(place.into_iter().fold(diagnostic, Diagnostic::label));
            return;
        }
        let names = self.scope.indexed(variable, index);
        let mut stage = StageDeclaration {
            name,
            base: base.to_owned(),
            index,
            variable: variable.map(str::to_owned),
            fields: Dict::new(),
            broken: BTreeSet::new(),
            tag,
        };
        let kind = fields.get("kind").and_then(Value::as_str);
        let defaults = kind.and_then(|kind| self.defaults?.get(kind)?.as_dict());
        let left_out = defaults.into_iter().flatten().filter(|(key, _)| !fields.contains_key(*key));
        for (key, value) in fields.iter().chain(left_out).filter(|(key, _)| *key != "for") {
            match fill(value, &names, self.origins) {
                Ok(filled) => {
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
    tag: Tag,
    names: &impl template::Names,
    origins: &Origins,
) -> Result<i64, Diagnostic> {
    template::index(text, span, names).map_err(|error| diagnose(error, |span| origins.part(tag, text, span)))
}

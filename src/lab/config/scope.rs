//! The names that templates may use: the params and coordinates of one variant, and a stage's index.

use std::collections::{BTreeMap, BTreeSet};

use super::axis::Coordinates;
use super::cases::Cases;
use super::limits::Memory;
use super::template::{self, TemplateError, TemplateNames, is_name};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, Location, ValueData, ablate, limits};

/// More params than this, each using the next, would take too much of the stack.
const MAX_USES: usize = 200;

/// The params and coordinates of one variant, by name.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    names: BTreeMap<String, ConfigValue>,
    /// Params that could not be worked out, which has been reported.
    failed: BTreeSet<String>,
}

impl Scope {
    /// The value of a param or an axis.
    pub fn get(&self, name: &str) -> Option<&ConfigValue> {
        self.names.get(name)
    }

    /// The names of all params and axes.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Whether `value` cannot be filled in because a param that it uses has failed.
    pub(super) fn excuses(&self, value: &ConfigValue) -> bool {
        !self.failed.is_empty() && used(value).iter().any(|name| self.failed.contains(name))
    }

    /// With the index of a stage beside them.
    pub fn indexed<'a>(&'a self, variable: Option<&'a str>, index: Option<i64>) -> Indexed<'a> {
        Indexed {
            scope: self,
            index: variable.zip(index),
        }
    }
}

/// A scope with the index of one stage.
#[derive(Clone, Copy, Debug)]
pub struct Indexed<'a> {
    scope: &'a Scope,
    index: Option<(&'a str, i64)>,
}

impl TemplateNames for Indexed<'_> {
    fn get(&self, name: &str) -> Option<ConfigValue> {
        match self.index {
            Some((variable, index)) if variable == name => Some(ConfigValue::from(index)),
            _ => self.scope.get(name).cloned(),
        }
    }

    fn all(&self) -> Vec<&str> {
        let index = self.index.iter().map(|(variable, _)| *variable);
        index.chain(self.scope.names()).collect()
    }
}

/// Works out the params of one variant; an axis, or a change of `[ablate]`, takes the place of the param of its name.
pub(super) fn resolve(
    document: &Document,
    coordinates: &Coordinates,
    changed: &ConfigTable,
    memory: &mut Memory,
    problems: &mut Diagnostics,
) -> Scope {
    let mut names = coordinates.clone();
    names.remove(ablate::AXIS);
    names.extend(changed.clone());
    let params = document.tree.get("params").and_then(ConfigValue::as_table);
    let mut resolver = ParamResolver {
        params,
        memory,
        problems,
        scope: Scope {
            names,
            failed: BTreeSet::new(),
        },
        open: Vec::new(),
        is_deep: false,
    };
    for (name, value) in document.entries("params") {
        resolver.check(name, value);
        resolver.param(name);
    }
    resolver.scope
}

struct ParamResolver<'a> {
    params: Option<&'a ConfigTable>,
    memory: &'a mut Memory,
    problems: &'a mut Diagnostics,
    scope: Scope,
    /// The params being worked out, each used by the one before.
    open: Vec<String>,
    /// Whether they have once been too many.
    is_deep: bool,
}

impl ParamResolver<'_> {
    fn check(&mut self, name: &str, value: &ConfigValue) {
        if !is_name(name) {
            let message = format!(
                "`{name}` cannot name a param: letters, digits and `_` only, at most {}",
                limits::MAX_NAME
            );
            self.problems.push(Diagnostic::new(message).at(value.key_at()));
        }
    }

    /// Works out one param, after those that it uses.
    fn param(&mut self, name: &str) {
        let Some(value) = self.params.and_then(|params| params.get(name)) else {
            return;
        };
        if self.scope.names.contains_key(name) || self.scope.failed.contains(name) {
            return;
        }
        if let Some(start) = self.open.iter().position(|open| open == name) {
            let cycle: Vec<&str> = self.open[start..].iter().map(String::as_str).chain([name]).collect();
            let message = format!("params use each other in a circle: {}", cycle.join(" → "));
            self.problems.push(Diagnostic::new(message).at(value.key_at()));
            self.scope.failed.extend(self.open.drain(start..).collect::<Vec<_>>());
            return;
        }
        if self.open.len() >= MAX_USES {
            // Once: the rest of a long chain is as deep.
            if !std::mem::replace(&mut self.is_deep, true) {
                let message = format!("params use each other here more than {MAX_USES} deep");
                self.problems.push(Diagnostic::new(message).at(value.key_at()));
            }
            self.scope.failed.insert(name.to_owned());
            return;
        }
        self.open.push(name.to_owned());
        let chosen = self.chosen(name, value);
        for used in chosen.map(used).unwrap_or_default() {
            self.param(&used);
        }
        self.open.pop();
        let Some(value) = chosen.filter(|_| !self.scope.failed.contains(name)) else {
            self.scope.failed.insert(name.to_owned());
            return;
        };
        match fill(value, &self.scope.indexed(None, None)) {
            Ok(filled) if self.memory.take(name.len() + limits::bytes(&filled), self.problems) => {
                self.scope.names.insert(name.to_owned(), filled);
            }
            // There is no room, which has been reported.
            Ok(_) => drop(self.scope.failed.insert(name.to_owned())),
            Err(problem) => {
                if !self.scope.excuses(value) {
                    self.problems.push(problem);
                }
                self.scope.failed.insert(name.to_owned());
            }
        }
    }

    /// The value of a param as it is written; of a param with cases, that of the case that holds. `None` after an error, which is
    /// reported.
    fn chosen<'v>(&mut self, name: &'v str, value: &'v ConfigValue) -> Option<&'v ConfigValue> {
        let Some(fields) = value.as_table() else { return Some(value) };
        let chosen = Cases::read(name, value, fields).and_then(|cases| {
            self.param(cases.name);
            let chosen = cases.choose(&self.scope.indexed(None, None));
            // An error in the deciding param is reported already.
            if self.scope.failed.contains(cases.name) {
                Ok(None)
            } else {
                chosen.map(Some)
            }
        });
        chosen.unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }
}

/// The names within the templates of a value.
pub(super) fn used(value: &ConfigValue) -> Vec<String> {
    match &value.data {
        ValueData::Text(text) => {
            let inner = text
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .map(|(inner, _)| inner);
            inner
                .flat_map(|inner| inner.split(['+', '-']))
                .map(|term| term.trim().to_owned())
                .filter(|term| is_name(term))
                .collect()
        }
        ValueData::List(items) => items.iter().flat_map(used).collect(),
        ValueData::Table(fields) => fields.values().flat_map(used).collect(),
        _ => Vec::new(),
    }
}

/// Fills in all templates within `value`; placeholders stay.
///
/// # Errors
/// The first that is wrong, where it stands.
pub(super) fn fill(value: &ConfigValue, names: &impl TemplateNames) -> Result<ConfigValue, Diagnostic> {
    fill_with(value, &|value, text| {
        template::fill(text, names).map_err(|error| {
            let doubled = doubled_braces(&error);
            let diagnostic = diagnose(error, |span| value.origin.part(text, span));
            doubled.into_iter().fold(diagnostic, Diagnostic::help)
        })
    })
}

/// Fills in the templates within the table of a task, whose own braces stay ([`template::fill_task`]).
///
/// # Errors
/// The first that is wrong, where it stands.
pub(super) fn fill_task(value: &ConfigValue, names: &impl TemplateNames) -> Result<ConfigValue, Diagnostic> {
    fill_with(value, &|value, text| {
        template::fill_task(text, names).map_err(|error| diagnose(error, |span| value.origin.part(text, span)))
    })
}

/// Fills in all texts within `value`; `fill` is given each with its value.
fn fill_with(value: &ConfigValue, fill: &dyn Fn(&ConfigValue, &str) -> Result<ConfigValue, Diagnostic>) -> Result<ConfigValue, Diagnostic> {
    let data = match &value.data {
        ValueData::Text(text) => return Ok(fill(value, text)?.moved_to(&value.origin)),
        ValueData::List(items) => {
            let mut filled = Filled::new(value);
            let items: Result<_, _> = items.iter().map(|item| filled.add(fill_with(item, fill)?)).collect();
            ValueData::List(items?)
        }
        ValueData::Table(fields) => {
            let mut filled = Filled::new(value);
            let field = |(key, field): (&String, &ConfigValue)| Ok((key.clone(), filled.add(fill_with(field, fill)?)?));
            let fields: Result<_, Diagnostic> = fields.iter().map(field).collect();
            ValueData::Table(fields?)
        }
        other => other.clone(),
    };
    Ok(ConfigValue::new(data, value.origin.clone()))
}

/// The size of a list or table while it is filled in: lists within lists may grow without end.
struct Filled<'a> {
    whole: &'a ConfigValue,
    /// What it may take: as it is written, it takes what the file does.
    left: usize,
}

impl<'a> Filled<'a> {
    fn new(whole: &'a ConfigValue) -> Self {
        let left = limits::MAX_VALUE_BYTES + limits::bytes(whole);
        Self { whole, left }
    }

    fn add(&mut self, item: ConfigValue) -> Result<ConfigValue, Diagnostic> {
        match self.left.checked_sub(limits::bytes(&item)) {
            Some(left) => {
                self.left = left;
                Ok(item)
            }
            None => {
                let message = format!(
                    "with its templates filled in, this takes more than {} MiB",
                    limits::MAX_VALUE_BYTES >> 20
                );
                Err(Diagnostic::new(message).at(self.whole.at()))
            }
        }
    }
}

/// What to do where braces have a name that is like no other, or none at all: they may be a prompt's, or a shell's.
fn doubled_braces(error: &TemplateError) -> Option<String> {
    match &error.problem {
        template::TemplateProblem::Unknown { nearest: None, name, .. } => Some(format!(
            "braces that are the text's own are doubled: `{{{{{name}}}}}`; in the texts of `[prompts]` they are not"
        )),
        // Code and JSON have braces too: `awk '{print $1}'`.
        template::TemplateProblem::Syntax(inner) if !looks_like_a_sum(inner) => {
            Some("braces that are the text's own are doubled: `{{` and `}}`".to_owned())
        }
        _ => None,
    }
}

/// Whether what stands in braces may have been meant as a sum, though it is none: `iterations*2`.
fn looks_like_a_sum(inner: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_ +-*/%()".contains(c);
    !inner.trim().is_empty() && inner.chars().all(is_part)
}

/// The diagnostic of a wrong template; `place` gives the place of bytes of its text.
pub fn diagnose(error: TemplateError, place: impl FnOnce(std::ops::Range<usize>) -> Option<Location>) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.problem.to_string()).at(place(error.span));
    match error.problem {
        template::TemplateProblem::Unknown { nearest, .. } => diagnostic.suggest(nearest.as_deref()),
        _ => diagnostic,
    }
}

//! The names that templates may use: the params and coordinates of one variant, and a stage's index.

use std::collections::{BTreeMap, BTreeSet};

use super::cases::Cases;
use super::matrix::Coordinates;
use super::template::{self, TemplateError, TemplateNames, is_name};
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Document, Location, ValueData, ablate};

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
pub(super) fn resolve(document: &Document, coordinates: &Coordinates, changed: &ConfigTable, problems: &mut Diagnostics) -> Scope {
    let mut names = coordinates.clone();
    names.remove(ablate::AXIS);
    names.extend(changed.clone());
    let params = document.tree.get("params").and_then(ConfigValue::as_table);
    let mut resolver = ParamResolver {
        params,
        problems,
        scope: Scope {
            names,
            failed: BTreeSet::new(),
        },
        open: Vec::new(),
    };
    for (name, value) in document.entries("params") {
        resolver.check(name, value);
        resolver.param(name);
    }
    resolver.scope
}

struct ParamResolver<'a> {
    params: Option<&'a ConfigTable>,
    problems: &'a mut Diagnostics,
    scope: Scope,
    /// The params being worked out, each used by the one before.
    open: Vec<String>,
}

impl ParamResolver<'_> {
    fn check(&mut self, name: &str, value: &ConfigValue) {
        if !is_name(name) {
            let message = format!("`{name}` cannot name a param: letters, digits and `_` only");
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
            Ok(filled) => {
                self.scope.names.insert(name.to_owned(), filled);
            }
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
            let chosen = cases.choose(&self.scope);
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
        _ => Vec::new(),
    }
}

/// Fills in all templates within `value`.
///
/// # Errors
/// The first that is wrong, where it stands.
pub(super) fn fill(value: &ConfigValue, names: &impl TemplateNames) -> Result<ConfigValue, Diagnostic> {
    let data = match &value.data {
        ValueData::Text(text) => {
            let filled = template::fill(text, names);
            let filled = filled.map_err(|error| diagnose(error, |span| value.origin.part(text, span)))?;
            return Ok(filled.moved_to(&value.origin));
        }
        ValueData::List(items) => {
            let items: Result<_, _> = items.iter().map(|item| fill(item, names)).collect();
            ValueData::List(items?)
        }
        ValueData::Table(fields) => {
            let fields: Result<_, Diagnostic> = fields.iter().map(|(key, value)| Ok((key.clone(), fill(value, names)?))).collect();
            ValueData::Table(fields?)
        }
        other => other.clone(),
    };
    Ok(ConfigValue::new(data, value.origin.clone()))
}

/// The diagnostic of a wrong template; `place` gives the place of bytes of its text.
pub fn diagnose(error: TemplateError, place: impl FnOnce(std::ops::Range<usize>) -> Option<Location>) -> Diagnostic {
    let diagnostic = Diagnostic::new(error.problem.to_string()).at(place(error.span));
    match error.problem {
        template::TemplateProblem::Unknown { nearest, .. } => diagnostic.suggest(nearest.as_deref()),
        _ => diagnostic,
    }
}

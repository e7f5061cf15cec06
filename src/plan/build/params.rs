//! The params and the seed of a stage.

use figment::value::{Dict, Value};

use super::Reader;
use crate::config::value::{describe, integer};
use crate::config::{Diagnostic, StageDeclaration, invalid, known, nearest};
use crate::stage::{Kind, Stage};

/// Fields of every stage.
const COMMON: [&str; 3] = ["kind", "for", "seed"];

impl Reader<'_, '_> {
    /// The params as the kind reads them and as they are written; nothing where they are wrong, or incomplete for a reason that has been reported.
    pub(super) fn params(&mut self, stage: &StageDeclaration, kind: &'static Kind) -> Option<(Box<dyn Stage>, Value)> {
        if !stage.broken.is_empty() {
            return None;
        }
        let own = |field: &str| !COMMON.contains(&field) && !kind.inputs.iter().any(|input| input.name == field);
        let fields = stage.fields.iter().filter(|(field, _)| own(field));
        let params: Dict = fields
            .map(|(field, value)| (field.clone(), self.named(kind, field, value)))
            .collect();
        let params = Value::Dict(stage.tag, params);
        match (kind.parse)(&params) {
            Ok(stage) => Some((stage, params)),
            Err(error) => {
                let others: Vec<&str> = COMMON.into_iter().chain(kind.inputs.iter().map(|input| input.name)).collect();
                let path = error.path.first().cloned().unwrap_or_default();
                let whole = format!("stage `{}` ({})", stage.name, kind.name);
                let found = invalid(error, &params, &whole, &others, self.origins);
                let found: Vec<_> = found
                    .into_iter()
                    .map(|problem| self.advise(problem, kind, &path, &params))
                    .collect();
                self.problems.extend(found);
                None
            }
        }
    }

    /// The entry that a param names, where the kind lets it name one and there is one of that name.
    fn named(&self, kind: &Kind, field: &str, value: &Value) -> Value {
        let entry = || {
            let table = self.table(kind, field)?;
            table.get(value.as_str()?).cloned()
        };
        entry().unwrap_or_else(|| value.clone())
    }

    fn table(&self, kind: &Kind, field: &str) -> Option<&Dict> {
        let (_, table) = kind.named.iter().find(|(param, _)| *param == field)?;
        self.variant.tables.get(*table)
    }

    /// Adds the entries of the table that a param may name, when it names nothing known.
    fn advise(&self, problem: Diagnostic, kind: &Kind, field: &str, params: &Value) -> Diagnostic {
        let value = params.find_ref(field).and_then(Value::as_str);
        let (Some(value), Some(table)) = (value, self.table(kind, field)) else {
            return problem;
        };
        let names = || table.keys().map(String::as_str);
        let title = kind.named.iter().find(|(param, _)| *param == field).map_or("", |(_, table)| table);
        match problem.label {
            None if !table.is_empty() => problem
                .suggest(nearest(value, names()))
                .help(format!("`[{title}]`: {}", known(names()))),
            _ => problem,
        }
    }

    /// The stage's seed: its own, else the variant's where the kind follows it, else 0.
    pub(super) fn seed(&mut self, stage: &StageDeclaration, kind: &Kind) -> u64 {
        let scope = self.variant.scope.get("seed").filter(|_| kind.follows_seed);
        let Some(value) = stage.fields.get("seed").or(scope) else {
            return 0;
        };
        integer(value).and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(|| {
            let message = format!("a seed is a whole number from 0, not {}", describe(value));
            let at = self.origins.value(value.tag());
            self.problems.push(Diagnostic::new(message).at(at));
            0
        })
    }
}

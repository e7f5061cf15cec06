//! The field `resources` of a stage: the entry of `[resources]` that it names, or a table of its own, with what the site has in its place.

use super::DraftReader;
use crate::config::{ConfigValue, Diagnostic, Resources, StageDeclaration, known, nearest};

/// The field of a stage, and the table of its entries.
pub(super) const RESOURCES: &str = "resources";

impl DraftReader<'_, '_> {
    /// What the stage needs and may take. What is wrong is reported.
    pub(super) fn resources(&mut self, stage: &StageDeclaration) -> Resources {
        let Some(value) = stage.fields.get(RESOURCES) else {
            return Resources::default();
        };
        let Some(name) = value.as_str() else {
            return self.read_resources(value, &format!("`{RESOURCES}` of stage `{}`", stage.name));
        };
        let entry = self.variant.tables.get(RESOURCES).and_then(|entries| entries.get(name));
        let site = self.site.and_then(|site| site.get(name));
        match (entry, site) {
            (None, None) => {
                self.unknown_resources(name, value);
                Resources::default()
            }
            (entry, site) => {
                let own = entry.map(|entry| self.read_resources(entry, &format!("`{RESOURCES}.{name}`")));
                let own = own.unwrap_or_default();
                match site {
                    Some(site) => own.overridden_by(site),
                    None => own,
                }
            }
        }
    }

    fn read_resources(&mut self, value: &ConfigValue, whole: &str) -> Resources {
        let read: Result<Resources, _> = value.read();
        read.and_then(|resources| resources.check().map(|()| resources))
            .unwrap_or_else(|error| {
                self.problems.push(error.diagnostic(value, whole, &[]));
                Resources::default()
            })
    }

    fn unknown_resources(&mut self, name: &str, value: &ConfigValue) {
        let own = self.variant.tables.get(RESOURCES).into_iter().flat_map(|entries| entries.keys());
        let site = self.site.into_iter().flat_map(|entries| entries.keys());
        let names: Vec<&str> = own.chain(site).map(String::as_str).collect();
        let message = value
            .unfilled()
            .unwrap_or_else(|| format!("no entry `{name}` in `[{RESOURCES}]` ({})", known(names.iter().copied())));
        let problem = Diagnostic::new(message).at(value.at());
        self.problems.push(problem.suggest(nearest(name, names.iter().copied())));
    }
}

//! How long the outputs of a stage are to be kept: a field of every stage, which is in no key.

use super::{DraftReader, OutputPorts};
use crate::config::{ConfigValue, Diagnostic, StageDeclaration, known, nearest};
use crate::store::{Keep, StageKeep};

/// The field: a text for all outputs, or a table of outputs.
pub(super) const KEEP_OUTPUTS: &str = "keep_outputs";

impl DraftReader<'_, '_> {
    /// What the stage says; the default where it says nothing, or something that is wrong, which is reported.
    pub(super) fn keep(&mut self, stage: &StageDeclaration, ports: Option<&OutputPorts>) -> StageKeep {
        let mut wish = StageKeep::default();
        let Some(value) = stage.fields.get(KEEP_OUTPUTS) else { return wish };
        let Some(table) = value.as_table() else {
            wish.all = self.keep_of(value);
            return wish;
        };
        for (port, value) in table {
            let outputs = || {
                ports
                    .into_iter()
                    .flat_map(|ports| &ports.outputs)
                    .map(|output| output.name.as_ref())
            };
            if ports.is_some() && !outputs().any(|name| name == port) {
                let message = format!("stage `{}` has no output `{port}` to keep ({})", stage.name, known(outputs()));
                let problem = Diagnostic::new(message).at(value.origin.key());
                self.problems.push(problem.suggest(nearest(port, outputs())));
                continue;
            }
            wish.ports.insert(port.clone(), self.keep_of(value));
        }
        wish
    }

    fn keep_of(&mut self, value: &ConfigValue) -> Keep {
        let read = value.as_str().and_then(|text| text.parse().ok());
        read.unwrap_or_else(|| {
            let message = value.unfilled();
            let message = message.unwrap_or_else(|| format!("`{KEEP_OUTPUTS}`: {}, not {}", crate::store::NotAKeep, value.describe()));
            self.problems.push(Diagnostic::new(message).at(value.at()));
            Keep::default()
        })
    }
}

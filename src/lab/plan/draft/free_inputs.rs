//! The inputs that a stage names itself: `data = "images"`, or with the place where its program finds it,
//! `data = { from = "images", path = "data" }`.

use std::collections::BTreeMap;

use super::{Draft, DraftReader, Edge, OutputPorts};
use crate::config::{ConfigTable, ConfigValue, Diagnostic, StageDeclaration, known, nearest};
use crate::stage::{INPUT_PATHS, Input, Kind, PortType, is_port};

/// The table in which a stage names inputs of its own, for kinds that allow it.
pub(super) const FREE_INPUTS: &str = "inputs";

/// The fields of an input that has a place.
const FROM: &str = "from";
const PATH: &str = "path";
const FIELDS: [&str; 2] = [FROM, PATH];

/// One input as it is written.
struct FreeInput<'v> {
    references: &'v ConfigValue,
    path: Option<&'v ConfigValue>,
}

impl<'v> FreeInput<'v> {
    /// # Errors
    /// When a field is missing, unknown or of another type.
    fn read(name: &str, value: &'v ConfigValue) -> Result<Self, Diagnostic> {
        let Some(fields) = value.as_table() else {
            return Ok(Self {
                references: value,
                path: None,
            });
        };
        if let Some((field, value)) = fields.iter().find(|(field, _)| !FIELDS.contains(&field.as_str())) {
            let message = format!("no field `{field}` in the input `{name}` ({})", known(FIELDS));
            return Err(Diagnostic::new(message).at(value.key_at()).suggest(nearest(field, FIELDS)));
        }
        let Some(references) = fields.get(FROM) else {
            let message = format!("the input `{name}` needs a field `{FROM}`: a reference, or a list of them");
            return Err(Diagnostic::new(message).at(value.key_at()));
        };
        let path = fields.get(PATH);
        if let Some(path) = path.filter(|path| path.as_str().is_none()) {
            let message = path
                .unfilled()
                .unwrap_or_else(|| format!("`{PATH}` of the input `{name}` must be a text, not {}", path.describe()));
            return Err(Diagnostic::new(message).at(path.at()));
        }
        Ok(Self { references, path })
    }

    /// Whether it is left out.
    fn is_empty(&self) -> bool {
        self.references.as_list().is_some_and(<[ConfigValue]>::is_empty)
    }
}

/// Those that can be read; what is wrong with others is reported with their references.
fn read_all<'s>(stage: &'s StageDeclaration, kind: &Kind) -> impl Iterator<Item = (&'s String, FreeInput<'s>)> {
    let table = stage.fields.get(FREE_INPUTS).filter(|_| kind.free).and_then(ConfigValue::as_table);
    let inputs = table.into_iter().flatten();
    let read = inputs.filter_map(|(name, value)| Some((name, FreeInput::read(name, value).ok()?)));
    read.filter(|(_, input)| !input.is_empty())
}

/// The param with the places of the stage's inputs; `None` where none has a place.
pub(super) fn input_paths(stage: &StageDeclaration, kind: &Kind) -> Option<(String, ConfigValue)> {
    let paths = read_all(stage, kind).filter_map(|(name, input)| Some((name.clone(), input.path?.clone())));
    let paths: ConfigTable = paths.collect();
    let origin = stage.fields.get(FREE_INPUTS)?.origin.clone();
    (!paths.is_empty()).then(|| (INPUT_PATHS.to_owned(), ConfigValue::table(paths, origin)))
}

/// The number of artifacts at each input. One whose references are wrong, which has been reported, counts as one.
pub(super) fn counts(draft: &Draft<'_>, kind: &Kind) -> BTreeMap<String, usize> {
    let declared = read_all(draft.declaration, kind).map(|(name, _)| (name.clone(), 1));
    let resolved = draft.inputs.iter().map(|(name, edges)| (name.clone(), edges.len().max(1)));
    declared.chain(resolved).collect()
}

impl DraftReader<'_, '_> {
    /// The references in the table with which a stage names inputs of its own; each takes whatever there is.
    pub(super) fn free_inputs(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        table: &ConfigValue,
        sources: &[Option<OutputPorts>],
    ) -> Vec<(String, Vec<Edge>)> {
        let Some(table) = table.as_table() else {
            let message = format!("`{FREE_INPUTS}` must be a table of references, not {}", table.describe());
            self.problems.push(Diagnostic::new(message).at(table.at()));
            return Vec::new();
        };
        let mut inputs = Vec::new();
        for (name, value) in table {
            if !is_port(name) {
                let message = format!("`{name}` cannot name an input: small letters, digits and `_` only, and not `source`");
                self.problems.push(Diagnostic::new(message).at(value.key_at()));
                continue;
            }
            let input = Input {
                name,
                port: PortType::File,
                optional: true,
                many: true,
            };
            let references = FreeInput::read(name, value).and_then(|read| Self::references(stage, kind, &input, read.references));
            match references {
                Ok([]) => {}
                Ok(values) => inputs.push((name.clone(), self.edges(stage, kind, &input, values, sources))),
                Err(problem) => self.problems.push(problem),
            }
        }
        inputs
    }
}

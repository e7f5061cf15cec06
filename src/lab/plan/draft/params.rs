//! The params and the seed of a stage.

use super::free_inputs::{self, FREE_INPUTS};
use super::keep::KEEP_OUTPUTS;
use super::resources::RESOURCES;
use super::{Draft, DraftReader};
use crate::config::{ConfigTable, ConfigValue, Diagnostic, ParamError, ParamProblem, Resources, StageDeclaration, ValueData, nearest};
use crate::source::SOURCE;
use crate::stage::{INPUT_PATHS, Kind, Stage};

/// Fields of every stage.
const COMMON_FIELDS: [&str; 5] = ["kind", "for", "seed", KEEP_OUTPUTS, RESOURCES];

/// The table of tasks, the only one whose entries a stage may change where it names them.
const TASKS: &str = "tasks";
/// The field of a changed task that names it.
const NAME: &str = "name";
/// The field of a task with its name in `[tasks]`, for messages.
const LABEL: &str = "label";

impl DraftReader<'_, '_> {
    /// The params as the kind reads them and as they are written; `None` when they are wrong, or incomplete after a reported error.
    pub(super) fn params(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        resources: &Resources,
    ) -> Option<(Box<dyn Stage>, ConfigValue)> {
        if !stage.broken.is_empty() {
            return None;
        }
        self.refuse_input_paths(stage, kind);
        self.refuse_gpus(stage, kind);
        if self.refuse_source_in_place(stage, kind) {
            return None;
        }
        let given_elsewhere =
            |field: &str| inputs(kind).any(|input| input == field) || kind.free && field == INPUT_PATHS || kind.gpus == Some(field);
        let own = |field: &str| !COMMON_FIELDS.contains(&field) && !given_elsewhere(field);
        let fields = stage.fields.iter().filter(|(field, _)| own(field));
        let mut params: ConfigTable = fields
            .map(|(field, value)| (field.clone(), self.named(kind, field, value)))
            .collect();
        params.extend(free_inputs::input_paths(stage, kind));
        if let Some(param) = kind.gpus.filter(|_| resources.gpus() > 0) {
            let value = ConfigValue::from(serde_json::Value::from(resources.gpus()));
            params.insert(param.to_owned(), value);
        }
        let params = self.with_environment(kind, params);
        let params = self.with_command_files(kind, params);
        let params = ConfigValue::table(self.with_templates(kind, params), stage.origin.clone());
        let given = given(stage, kind);
        match (kind.parse)(&params, &given) {
            Ok(stage) => Some((stage, params)),
            Err(error) => {
                self.wrong_params(error, params, stage, kind, &given);
                None
            }
        }
    }

    /// Reports the places of inputs where they are given as a param.
    fn refuse_input_paths(&mut self, stage: &StageDeclaration, kind: &Kind) {
        if let Some(value) = stage.fields.get(INPUT_PATHS).filter(|_| kind.free) {
            let message = format!("no field `{INPUT_PATHS}` in stage `{}` ({})", stage.name, kind.name);
            let help = format!("the place of an input is written with it: `{FREE_INPUTS}.data = {{ from = \"…\", path = \"…\" }}`");
            self.problems.push(Diagnostic::new(message).at(value.key_at()).help(help));
        }
    }

    /// Reports the number of GPUs where it is given as a param.
    fn refuse_gpus(&mut self, stage: &StageDeclaration, kind: &Kind) {
        let given = kind.gpus.and_then(|param| Some((param, stage.fields.get(param)?)));
        if let Some((param, value)) = given {
            let message = format!("`{param}` of stage `{}` ({}) is part of its resources", stage.name, kind.name);
            let help = format!("write `{RESOURCES} = {{ {param} = {} }}`", value.plain_text());
            self.problems.push(Diagnostic::new(message).at(value.key_at()).help(help));
        }
    }

    /// Reports a source that is written where only its name belongs. Its path would be meant from the caller's folder, and it would have no
    /// name in messages, so that one experiment would read different files here and there.
    fn refuse_source_in_place(&mut self, stage: &StageDeclaration, kind: &Kind) -> bool {
        let value = stage
            .fields
            .get(SOURCE)
            .filter(|_| kind.named.iter().any(|(param, _)| *param == SOURCE));
        let Some(value) = value.filter(|value| value.as_table().is_some()) else {
            return false;
        };
        let message = format!(
            "`{SOURCE}` of stage `{}` ({}) is the name of a source, not a table",
            stage.name, kind.name
        );
        let help = "write the table as `[sources.code]`, and here `source = \"code\"`";
        self.problems.push(Diagnostic::new(message).at(value.at()).help(help));
        true
    }

    /// Reports `error`. A kind stops at the first wrong field, so its params are read again without that field, until no error is left.
    fn wrong_params(&mut self, error: ParamError, mut params: ConfigValue, stage: &StageDeclaration, kind: &'static Kind, given: &[&str]) {
        let others: Vec<&str> = COMMON_FIELDS.into_iter().chain(inputs(kind)).collect();
        let whole = format!("stage `{}` ({})", stage.name, kind.name);
        let mut removed: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let field = error.path.first().cloned();
            let ours = match &error.problem {
                ParamProblem::MissingField(name) => removed.contains(name),
                // That another field needs it, or does not fit what stands in its place.
                ParamProblem::Message(message) => removed.iter().any(|name| message.contains(&format!("`{name}`"))),
                _ => false,
            };
            if !ours {
                let found = error.diagnostic(&params, &whole, &others);
                let advised = self.advise(found, kind, field.as_deref().unwrap_or_default(), &params);
                self.problems.push(advised);
            }
            let fields = params.as_table_mut();
            let Some(field) = field.filter(|field| fields.is_some_and(|fields| fields.remove(field).is_some())) else {
                return;
            };
            removed.push(field);
            next = (kind.parse)(&params, given).err();
        }
    }

    /// Checks that the params of each stage fit its inputs, and that it accepts the outputs of the stages before it.
    pub(super) fn sources(&mut self, drafts: &[Draft<'_>]) {
        for draft in drafts {
            let (Some(kind), Some((stage, params))) = (draft.kind, &draft.stage) else {
                continue;
            };
            let whole = || format!("stage `{}` ({})", draft.declaration.name, kind.name);
            if let Err(error) = stage.check_inputs(&free_inputs::counts(draft, kind)) {
                self.problems.push(error.diagnostic(params, &whole(), &[]));
            }
            let edges = draft
                .inputs
                .iter()
                .flat_map(|(port, edges)| edges.iter().map(|edge| (port.as_str(), edge.to)));
            for (port, from) in edges {
                let from = drafts.get(from).and_then(|from| from.stage.as_ref());
                if let Some(Err(error)) = from.map(|(from, _)| stage.accepts(port, from.as_ref())) {
                    self.problems.push(error.diagnostic(params, &whole(), &[]));
                }
            }
        }
    }

    /// The entry that a param names, where the kind lets it name one and there is one of that name. A task may be changed where it is named:
    /// `{ name = "mine", num_fewshot = 5 }`; and there may be a list of them.
    fn named(&self, kind: &Kind, field: &str, value: &ConfigValue) -> ConfigValue {
        let Some(table) = self.table(kind, field) else {
            return value.clone();
        };
        let is_task = kind.named.contains(&(field, TASKS));
        if let Some(items) = value.as_list().filter(|_| is_task) {
            let items = items.iter().map(|item| entry(table, item, is_task));
            return ConfigValue::new(ValueData::List(items.collect()), value.origin.clone());
        }
        entry(table, value, is_task)
    }

    fn table(&self, kind: &Kind, field: &str) -> Option<&ConfigTable> {
        let (_, table) = kind.named.iter().find(|(param, _)| *param == field)?;
        self.variant.tables.get(*table)
    }

    /// Adds the entries of the table that a param may name, when it names nothing known.
    fn advise(&self, problem: Diagnostic, kind: &Kind, field: &str, params: &ConfigValue) -> Diagnostic {
        let value = params.get(field).and_then(ConfigValue::as_str);
        let (Some(value), Some(table)) = (value, self.table(kind, field)) else {
            return problem;
        };
        let title = kind.named.iter().find(|(param, _)| *param == field).map_or("", |(_, table)| table);
        if table.is_empty() {
            return problem;
        }
        let names = || table.keys().map(String::as_str);
        let help = format!("`[{title}]` has {}", names().collect::<Vec<_>>().join(", "));
        problem.suggest(nearest(value, names())).help(help)
    }

    /// The stage's seed: its own, else the variant's where the kind follows it, else 0.
    pub(super) fn seed(&mut self, stage: &StageDeclaration, kind: &Kind) -> u64 {
        let scope = self.variant.scope.get("seed").filter(|_| kind.follows_seed);
        let Some(value) = stage.fields.get("seed").or(scope) else {
            return 0;
        };
        value.as_integer().and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(|| {
            let message = value.unfilled();
            let message = message.unwrap_or_else(|| format!("a seed is a whole number from 0, not {}", value.describe()));
            let at = value.at();
            self.problems.push(Diagnostic::new(message).at(at));
            0
        })
    }
}

/// The entry of `table` that `value` names; `value` itself where there is none. A task has its name as `label`.
fn entry(table: &ConfigTable, value: &ConfigValue, is_task: bool) -> ConfigValue {
    let named = value.as_str().and_then(|name| table.get(name));
    let Some(fields) = value.as_table().filter(|_| is_task) else {
        return match (named, value.as_str()) {
            (Some(named), Some(name)) if is_task => labelled(named.clone(), name),
            (Some(named), _) => named.clone(),
            _ => value.clone(),
        };
    };
    let name = fields.get(NAME).and_then(ConfigValue::as_str);
    let Some((name, named)) = name.and_then(|name| Some((name, table.get(name)?))) else {
        return value.clone();
    };
    let mut changes = fields.clone();
    changes.remove(NAME);
    labelled(changed(named, &ConfigValue::table(changes, value.origin.clone())), name)
}

fn labelled(mut task: ConfigValue, name: &str) -> ConfigValue {
    let origin = task.origin.clone();
    if let Some(fields) = task.as_table_mut() {
        fields.insert(LABEL.to_owned(), ConfigValue::text(name, origin));
    }
    task
}

/// `lower` with the fields of `upper`, table by table.
fn changed(lower: &ConfigValue, upper: &ConfigValue) -> ConfigValue {
    let (Some(fields), Some(changes)) = (lower.as_table(), upper.as_table()) else {
        return upper.clone();
    };
    let mut all = fields.clone();
    for (name, change) in changes {
        let value = fields.get(name).map_or_else(|| change.clone(), |field| changed(field, change));
        all.insert(name.clone(), value);
    }
    ConfigValue::table(all, lower.origin.clone())
}

/// The fields that hold references.
fn inputs(kind: &Kind) -> impl Iterator<Item = &'static str> {
    let table = kind.free.then_some(FREE_INPUTS);
    kind.inputs.iter().map(|input| input.name).chain(table)
}

/// The input ports at which the stage is given something.
fn given<'k>(stage: &StageDeclaration, kind: &'k Kind) -> Vec<&'k str> {
    let something = |value: &ConfigValue| value.as_list().is_none_or(|items| !items.is_empty());
    let names = kind.inputs.iter().map(|input| input.name);
    names.filter(|name| stage.fields.get(*name).is_some_and(something)).collect()
}

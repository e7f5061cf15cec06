//! Experiment → [`Dag`]: kinds, params, references, checks, and equal stages made one.
//!
//! Each variant is read into drafts (fields split into inputs, params and seed; references resolved), checked for cycles, and then
//! merged into the graph, dependencies first. All that is wrong in all variants is reported at once.

mod carry;
mod command_files;
mod cycle;
mod environment;
mod free_inputs;
mod keep;
mod merge;
mod params;
mod reference;
mod resources;
mod templates;

use std::borrow::{Borrow, Cow};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::Dag;
use crate::config::{ConfigValue, Diagnostic, Diagnostics, Experiment, Resources, StageDeclaration, ValueOrigin, Variant, known, nearest};
use crate::stage::{ImpliedInput, Input, Kind, Output, Stage};
use crate::store::StageKeep;
use command_files::FileLooks;

/// More references than this, in all variants together, are taken for a mistake: a range in each stage of a range is their product.
const MAX_REFERENCES: usize = 1_000_000;

/// Builds the DAG of all variants; `kinds` is the table of kinds.
///
/// # Errors
/// When anything in the experiment is wrong: all of it, file by file, from top to bottom.
pub fn build(experiment: &Experiment, kinds: &[&'static Kind]) -> Result<Dag, Vec<Diagnostic>> {
    build_from(experiment, &experiment.variants, kinds)
}

/// Builds the DAG of `variants` of the experiment. Each that is given away is dropped once it is in the DAG: thousands of them take as
/// much memory as the DAG does.
///
/// # Errors
/// As those of [`build`].
pub fn build_from<V: Borrow<Variant>>(
    experiment: &Experiment,
    variants: impl IntoIterator<Item = V>,
    kinds: &[&'static Kind],
) -> Result<Dag, Vec<Diagnostic>> {
    let mut problems = experiment.problems.clone();
    problems.extend(unknown_defaults(experiment, kinds));
    let mut merger = merge::Merger::new(experiment);
    let (mut references, looks) = (0, FileLooks::default());
    for variant in variants {
        let variant = variant.borrow();
        let mut reader = DraftReader::new(variant, kinds, &looks, &mut problems);
        (reader.home, reader.references) = (experiment.home.as_deref(), references);
        reader.site = Some(&experiment.settings.resources);
        let mut drafts = reader.drafts();
        references = reader.references;
        if references > MAX_REFERENCES {
            break;
        }
        match cycle::order(&drafts) {
            Ok(order) if problems.is_empty() => {
                carry::carry(&mut drafts, &order, &mut problems);
                merger.add(variant, drafts, &order);
            }
            Ok(_) => {}
            Err(cycles) => problems.extend(cycles.iter().map(|cycle| cycle::describe(cycle, &drafts))),
        }
    }
    if problems.is_empty() {
        Ok(merger.into_dag())
    } else {
        Err(problems.into_vec())
    }
}

/// The diagnostics of tables of `[defaults]` for unknown kinds.
fn unknown_defaults(experiment: &Experiment, kinds: &[&'static Kind]) -> Vec<Diagnostic> {
    let names = || kinds.iter().map(|kind| kind.name);
    let unknown = experiment.defaults.iter().filter(|(name, _)| !names().any(|kind| kind == *name));
    unknown
        .map(|(name, origin)| {
            let message = format!("no kind `{name}` to have defaults ({})", known(names()));
            let problem = Diagnostic::new(message).at(origin.key());
            problem.suggest(nearest(name, names()))
        })
        .collect()
}

/// One stage of one variant, its fields read as its kind means them.
struct Draft<'a> {
    declaration: &'a StageDeclaration,
    kind: Option<&'static Kind>,
    /// With its params as they are written.
    stage: Option<(Box<dyn Stage>, ConfigValue)>,
    seed: u64,
    resources: Resources,
    /// By input port, in the order of the kind's table.
    inputs: Vec<(String, Vec<Edge>)>,
    /// The stages that it stands for, if it does.
    parts: Option<carry::Parts>,
    /// How long its outputs are to be kept.
    keep: StageKeep,
}

/// A reference to the output of another draft.
#[derive(Clone, Debug)]
struct Edge {
    /// Which draft of the variant.
    to: usize,
    port: Cow<'static, str>,
    /// The place of the reference.
    origin: ValueOrigin,
}

/// The outputs of a stage, for references to them.
struct OutputPorts {
    kind: &'static Kind,
    outputs: Vec<Output>,
}

impl OutputPorts {
    /// `None` when an error in the stage, which has been reported, leaves its outputs unknown.
    fn of(draft: &Draft<'_>) -> Option<Self> {
        let kind = draft.kind?;
        let outputs = match &draft.stage {
            Some((stage, _)) => kind.outputs_of(stage.as_ref()),
            None if kind.outputs.is_empty() => return None,
            None => kind.outputs.to_vec(),
        };
        Some(Self { kind, outputs })
    }
}

/// Reads the stages of one variant.
struct DraftReader<'a, 'p> {
    variant: &'a Variant,
    kinds: &'a [&'static Kind],
    problems: &'p mut Diagnostics,
    /// The stages' positions, by base and index.
    positions: HashMap<(&'a str, Option<i64>), usize>,
    /// The indices of each base, ascending.
    indices: BTreeMap<&'a str, Vec<i64>>,
    /// What is known of the files in command lines.
    looks: &'a FileLooks,
    /// What `~` stands for in a command line.
    home: Option<&'a Path>,
    /// What the settings have in place of the entries of `[resources]`.
    site: Option<&'a BTreeMap<String, Resources>>,
    /// The references so far, in this variant and those before it.
    references: usize,
}

impl<'a, 'p> DraftReader<'a, 'p> {
    fn new(variant: &'a Variant, kinds: &'a [&'static Kind], looks: &'a FileLooks, problems: &'p mut Diagnostics) -> Self {
        let name = |(position, stage): (usize, &'a StageDeclaration)| ((stage.base.as_str(), stage.index), position);
        let mut indices: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for stage in &variant.stages {
            indices.entry(&stage.base).or_default().extend(stage.index);
        }
        indices.values_mut().for_each(|indices| indices.sort_unstable());
        Self {
            variant,
            kinds,
            problems,
            positions: variant.stages.iter().enumerate().map(name).collect(),
            indices,
            looks,
            home: None,
            site: None,
            references: 0,
        }
    }

    fn drafts(&mut self) -> Vec<Draft<'a>> {
        let variant = self.variant;
        let kinds: Vec<_> = variant.stages.iter().map(|stage| self.kind(stage)).collect();
        let mut drafts = Vec::with_capacity(kinds.len());
        for (declaration, kind) in variant.stages.iter().zip(kinds) {
            let resources = self.resources(declaration);
            drafts.push(Draft {
                declaration,
                kind,
                stage: kind.and_then(|kind| self.params(declaration, kind, &resources)),
                resources,
                seed: kind.map_or(0, |kind| self.seed(declaration, kind)),
                inputs: Vec::new(),
                parts: None,
                keep: StageKeep::default(),
            });
        }
        // Only now: the outputs of a stage may depend on its params.
        let sources: Vec<Option<OutputPorts>> = drafts.iter().map(OutputPorts::of).collect();
        for (draft, ports) in drafts.iter_mut().zip(&sources) {
            draft.keep = self.keep(draft.declaration, ports.as_ref());
            if let Some(kind) = draft.kind {
                let implied = draft.stage.as_ref().map(|(stage, _)| stage.implied_inputs()).unwrap_or_default();
                draft.inputs = self.inputs(draft.declaration, kind, &implied, &sources);
            }
        }
        self.sources(&drafts);
        drafts
    }

    fn kind(&mut self, stage: &StageDeclaration) -> Option<&'static Kind> {
        let names = || self.kinds.iter().map(|kind| kind.name);
        let Some(value) = stage.fields.get("kind") else {
            if !stage.broken.contains("kind") {
                let message = format!("stage `{}` needs a `kind` ({})", stage.name, known(names()));
                let at = stage.origin.key();
                // A field for a stage that is declared elsewhere, under a name with a slip.
                let others = self.variant.stages.iter().map(|other| other.name.as_str());
                let meant = nearest(&stage.name, others.filter(|name| *name != stage.name));
                self.problems.push(Diagnostic::new(message).at(at).suggest(meant));
            }
            return None;
        };
        let name = value.as_str().unwrap_or_default();
        let found = self.kinds.iter().find(|kind| kind.name == name).copied();
        if found.is_none() {
            let shown = value.plain_text();
            let message = value.unfilled();
            let message = message.unwrap_or_else(|| format!("no kind `{shown}` ({})", known(names())));
            let problem = Diagnostic::new(message).at(value.at());
            let problem = problem.suggest(nearest(name, names()));
            self.problems.push(problem);
        }
        found
    }

    /// The references at each input port; `implied` are those that the params give where the stage does not.
    fn inputs(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        implied: &[ImpliedInput],
        sources: &[Option<OutputPorts>],
    ) -> Vec<(String, Vec<Edge>)> {
        let mut inputs = Vec::new();
        for input in kind.inputs {
            let Some(value) = stage.fields.get(input.name) else {
                if let Some(implied) = implied.iter().find(|implied| implied.port == input.name) {
                    inputs.push((input.name.to_owned(), self.implied_edges(stage, kind, input, implied, sources)));
                    continue;
                }
                if !input.optional && !stage.broken.contains(input.name) {
                    let message = format!(
                        "stage `{}` needs the input `{}`: {}",
                        stage.name,
                        input.name,
                        reference::takes(input)
                    );
                    let at = stage.origin.key();
                    self.problems.push(Diagnostic::new(message).at(at));
                }
                continue;
            };
            match Self::references(stage, kind, input, value) {
                // An empty list is an input left out.
                Ok([]) => {}
                Ok(values) => inputs.push((input.name.to_owned(), self.edges(stage, kind, input, values, sources))),
                Err(problem) => self.problems.push(problem),
            }
        }
        if let Some(table) = stage.fields.get(free_inputs::FREE_INPUTS).filter(|_| kind.free) {
            inputs.extend(self.free_inputs(stage, kind, table, sources));
        }
        inputs
    }

    /// The edges of a reference that the params give. What is wrong with it is said at the stage.
    fn implied_edges(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        input: &Input<'_>,
        implied: &ImpliedInput,
        sources: &[Option<OutputPorts>],
    ) -> Vec<Edge> {
        let value = ConfigValue::text(implied.reference.as_str(), stage.origin.clone());
        self.edges_told(stage, kind, input, std::slice::from_ref(&value), sources, &|problem| {
            let message = format!("{}: {}", implied.given_by, problem.message);
            let help = format!("give stage `{}` its own: `{} = \"STAGE.PORT\"`", stage.name, input.name);
            Diagnostic::new(message).at(stage.origin.key()).help(help)
        })
    }

    fn edges(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        input: &Input<'_>,
        values: &[ConfigValue],
        sources: &[Option<OutputPorts>],
    ) -> Vec<Edge> {
        self.edges_told(stage, kind, input, values, sources, &|problem| problem)
    }

    /// The edges of references. `told` is how it is told what is wrong with one.
    fn edges_told(
        &mut self,
        stage: &StageDeclaration,
        kind: &'static Kind,
        input: &Input<'_>,
        values: &[ConfigValue],
        sources: &[Option<OutputPorts>],
        told: &dyn Fn(Diagnostic) -> Diagnostic,
    ) -> Vec<Edge> {
        let mut edges = Vec::with_capacity(values.len());
        for value in values {
            if self.references > MAX_REFERENCES {
                return Vec::new();
            }
            match self.resolve(stage, kind, input, value, sources) {
                Ok(found) => {
                    self.references += found.len();
                    edges.extend(found);
                }
                Err(problem) => self.problems.push(told(problem)),
            }
            if self.references > MAX_REFERENCES {
                let message = format!("the stages of this experiment have more than {MAX_REFERENCES} references to one another");
                let problem = Diagnostic::new(message).at(value.at());
                self.problems
                    .push(problem.help("a range in the reference of each stage of a range is the product of both"));
            }
        }
        edges
    }

    /// The stages' bases, each once, for messages.
    fn bases(&self) -> impl Iterator<Item = &'a str> {
        self.indices.keys().copied()
    }
}

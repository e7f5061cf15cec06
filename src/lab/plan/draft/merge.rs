//! Equal stages made one: drafts of all variants → nodes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;

use super::Draft;
use super::carry::Parts;
use crate::config::{Experiment, Resources, Variant};
use crate::event::StageName;
use crate::hash::{Digest, Encoder};
use crate::plan::{Dag, Link, Node};
use crate::stage::{Kind, Stage};
use crate::store::StageKeep;

/// Collects the stages of one variant after the other.
pub(super) struct Merger {
    dag: Dag,
    /// By [`identity`].
    nodes: HashMap<Digest, NodeIndex>,
}

/// A stage of a variant by its name.
#[derive(Clone)]
struct NamedStage {
    name: StageName,
    base: String,
    index: Option<i64>,
    part: bool,
    seed: u64,
    resources: Resources,
    keep: StageKeep,
}

impl Merger {
    pub(super) fn new(experiment: &Experiment) -> Self {
        Self {
            dag: Dag {
                experiment: experiment.name.clone(),
                axes: experiment.axes.clone(),
                graph: DiGraph::new(),
            },
            nodes: HashMap::new(),
        }
    }

    /// Adds the stages of a variant in `order`: each after those that it uses.
    pub(super) fn add(&mut self, variant: &Variant, drafts: Vec<Draft<'_>>, order: &[usize]) {
        let coordinates: BTreeMap<String, String> = variant
            .coordinates
            .iter()
            .map(|(axis, value)| (axis.clone(), value.plain_text()))
            .collect();
        let mut drafts: Vec<Option<Draft<'_>>> = drafts.into_iter().map(Some).collect();
        let mut placed: HashMap<usize, NodeIndex> = HashMap::with_capacity(order.len());
        for position in order {
            let Some(draft) = drafts.get_mut(*position).and_then(Option::take) else {
                continue;
            };
            let name = StageName {
                name: draft.declaration.name.clone(),
                variant: coordinates.clone(),
            };
            if let Some(node) = self.place(draft, name, &placed) {
                placed.insert(*position, node);
            }
        }
    }

    /// Adds a stage, or those that it stands for, and returns the node that has its outputs.
    fn place(&mut self, draft: Draft<'_>, name: StageName, placed: &HashMap<usize, NodeIndex>) -> Option<NodeIndex> {
        let (kind, (stage, _)) = (draft.kind?, draft.stage?);
        let link = |edge: &super::Edge| {
            Some(Link {
                from: *placed.get(&edge.to)?,
                port: edge.port.clone(),
            })
        };
        let links = |(port, edges): &(String, Vec<_>)| Some((port.clone(), edges.iter().map(link).collect::<Option<Vec<_>>>()?));
        let inputs: Vec<(String, Vec<Link>)> = draft.inputs.iter().map(links).collect::<Option<_>>()?;
        let named = NamedStage {
            name,
            base: draft.declaration.base.clone(),
            index: draft.declaration.index,
            part: false,
            seed: draft.seed,
            resources: draft.resources,
            keep: draft.keep,
        };
        match draft.parts {
            Some(parts) => Some(self.place_parts(&named, parts, &inputs)),
            None => Some(self.place_stage(named, kind, stage, &inputs)),
        }
    }

    /// Adds the stages that one stands for.
    fn place_parts(&mut self, whole: &NamedStage, parts: Parts, inputs: &[(String, Vec<Link>)]) -> NodeIndex {
        let empty = Vec::new();
        let over = inputs
            .iter()
            .find(|(port, _)| port == parts.over)
            .map_or(&empty, |(_, links)| links);
        let names = self.part_names(&whole.name.name, over);
        let mut outputs = Vec::with_capacity(over.len());
        for (((kind, stage), link), name) in parts.each.into_iter().zip(over).zip(names) {
            let has = |port: &String| kind.inputs.iter().any(|input| input.name == port);
            let own = inputs.iter().filter(|(port, _)| has(port)).map(|(port, links)| {
                let links = if port == parts.over { vec![link.clone()] } else { links.clone() };
                (port.clone(), links)
            });
            let variant = whole.name.variant.clone();
            let named = NamedStage {
                name: StageName { name, variant },
                part: true,
                resources: resources_of_part(whole, stage.as_ref()),
                // Its outputs are others than those that the whole names.
                keep: StageKeep {
                    ports: BTreeMap::new(),
                    ..whole.keep.clone()
                },
                ..whole.clone()
            };
            let own: Vec<(String, Vec<Link>)> = own.collect();
            let node = self.place_stage(named, kind, stage, &own);
            outputs.push(Link {
                from: node,
                port: parts.output.into(),
            });
        }
        let (kind, stage) = parts.last;
        let last = NamedStage {
            resources: resources_of_part(whole, stage.as_ref()),
            ..whole.clone()
        };
        self.place_stage(last, kind, stage, &[(parts.at.to_owned(), outputs)])
    }

    /// The names of the stages for what the links lead to: `score[0].in_domain`, and with a number where two are the same.
    fn part_names(&self, whole: &str, links: &[Link]) -> Vec<String> {
        let short = |link: &Link| match self.dag.graph.node_weight(link.from) {
            Some(from) if from.outputs.len() < 2 => from.name.name.clone(),
            _ => link.port.to_string(),
        };
        let mut counts: HashMap<String, usize> = HashMap::new();
        let name = |link| {
            let short = short(link);
            let count = counts.entry(short.clone()).or_default();
            *count += 1;
            match count {
                1 => format!("{whole}.{short}"),
                count => format!("{whole}.{short}.{count}"),
            }
        };
        links.iter().map(name).collect()
    }

    fn place_stage(
        &mut self,
        NamedStage {
            name,
            base,
            index,
            part,
            seed,
            resources,
            keep,
        }: NamedStage,
        kind: &'static Kind,
        stage: Box<dyn Stage>,
        inputs: &[(String, Vec<Link>)],
    ) -> NodeIndex {
        let seed = stage.draws().then_some(seed);
        let (canonical, numerics) = (kind.key_params(stage.as_ref()), stage.numerics());
        match self
            .nodes
            .entry(identity((kind, stage.as_ref()), &canonical, numerics.as_deref(), seed, inputs))
        {
            Entry::Occupied(entry) => {
                let node = *entry.get();
                if let Some(node) = self.dag.graph.node_weight_mut(node) {
                    let agrees = |axis: &String, value: &mut String| name.variant.get(axis) == Some(value);
                    node.name.variant.retain(agrees);
                    node.part &= part;
                    node.resources = std::mem::take(&mut node.resources).joined(resources);
                    node.keep.insert(keep);
                    node.members.push(name);
                }
                node
            }
            Entry::Vacant(entry) => {
                let node = self.dag.graph.add_node(Node {
                    members: vec![name.clone()],
                    name,
                    base,
                    index,
                    part,
                    kind,
                    outputs: kind.outputs_of(stage.as_ref()),
                    stage,
                    canonical: canonical.into(),
                    numerics,
                    seed,
                    resources,
                    inputs: inputs.iter().map(|(port, links)| (port.clone(), links.clone())).collect(),
                    keep: BTreeSet::from([keep]),
                });
                entry.insert(node);
                let mut sources: Vec<NodeIndex> = inputs.iter().flat_map(|(_, links)| links).map(|link| link.from).collect();
                sources.sort_unstable();
                sources.dedup();
                for source in sources {
                    self.dag.graph.add_edge(source, node, ());
                }
                node
            }
        }
    }

    pub(super) fn into_dag(self) -> Dag {
        self.dag
    }
}

/// Those of the whole, but devices only for a part that computes.
fn resources_of_part(whole: &NamedStage, part: &dyn Stage) -> Resources {
    let resources = whole.resources.clone();
    if part.numerics().is_some() {
        resources
    } else {
        resources.without_gpus()
    }
}

/// The digest of all that makes two stages equal: kind, params after defaults, the numeric class, the seed where it is drawn from, the
/// inputs and the source.
fn identity(
    (kind, stage): (&Kind, &dyn Stage),
    params: &Value,
    numerics: Option<&str>,
    seed: Option<u64>,
    inputs: &[(String, Vec<Link>)],
) -> Digest {
    let mut encoder = Encoder::default();
    encoder.text(kind.name);
    encoder.value(params);
    encoder.value(&numerics.into());
    encoder.value(&seed.into());
    encoder.array(inputs.len());
    for (port, links) in inputs {
        encoder.text(port);
        encoder.array(links.len());
        for link in links {
            encoder.value(&link.from.index().into());
            encoder.text(&link.port);
        }
    }
    // The content takes its place in the key; before that is known, what is read from two places is two stages.
    encoder.value(&serde_json::json!([stage.source(), stage.files(), stage.environment_files()]));
    encoder.digest()
}

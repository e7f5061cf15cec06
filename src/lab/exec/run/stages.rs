//! The known facts about each stage of a run: its inputs, its outputs, and whether the store has it.
//!
//! Stages are named by their place in the plan's order, in all parts of the run. Only this file knows the nodes of the graph.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use petgraph::graph::NodeIndex;

use crate::config::Resources;
use crate::event::StageName;
use crate::exec::gpus::GpuRequest;
use crate::exec::scheduler::{ScheduledStage, StageRequest};
use crate::fingerprint::Fingerprint;
use crate::hash::Digest;
use crate::plan::{Link, Node, Plan, PlanEntry, Resolver, StageState};
use crate::source::SOURCE;
use crate::store::{Artifact, Outputs, Store, StoreError};

/// The time that a stage is assumed to take, in seconds, when nothing like it ever ran. Only for the critical path.
const DEFAULT_SECONDS: f64 = 0.1;

/// The same for a stage that computes.
const DEFAULT_SECONDS_COMPUTING: f64 = 10.0;

/// The stages of a run.
pub(super) struct RunStages<'a> {
    plan: &'a Plan,
    store: &'a Store,
    resolver: &'a Resolver<'a>,
    places: HashMap<NodeIndex, usize>,
    /// Those that the plan has found stay there.
    outputs: Vec<Option<Cow<'a, Outputs>>>,
    misses: BTreeMap<usize, Miss>,
    /// The stages that ran here.
    made: BTreeSet<usize>,
    /// The stages whose outputs disappeared from the store after they were looked up.
    lost: BTreeSet<usize>,
}

/// A stage that the store lacks.
#[derive(Clone)]
pub(super) struct Miss {
    pub(super) fingerprint: Fingerprint,
    /// Why it has to run, for people.
    pub(super) reason: String,
}

/// The result of looking up a stage.
pub(super) enum StageLookUp<'a> {
    Hit {
        key: Option<Digest>,
        outputs: Cow<'a, Outputs>,
    },
    Miss,
    /// Not all its inputs are known.
    Unknown,
}

/// Whether the inputs of a stage are in the store.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputCheck {
    Present,
    /// The outputs of these stages are gone. Empty when they are being made again already.
    Lost(Vec<usize>),
}

impl<'a> RunStages<'a> {
    pub(super) fn new(plan: &'a Plan, store: &'a Store, resolver: &'a Resolver<'a>) -> Self {
        Self {
            plan,
            store,
            resolver,
            places: plan.order.iter().enumerate().map(|(place, &index)| (index, place)).collect(),
            outputs: vec![None; plan.order.len()],
            misses: BTreeMap::new(),
            made: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    /// Whether any stage asks for a GPU.
    pub(super) fn ask_for_gpus(&self) -> bool {
        (0..self.count()).any(|index| self.node(index).resources.gpus() > 0)
    }

    pub(super) fn count(&self) -> usize {
        self.outputs.len()
    }

    /// All stages as the scheduler needs them.
    pub(super) fn to_schedule(&self) -> Vec<ScheduledStage> {
        (0..self.count()).map(|index| self.scheduled(index)).collect()
    }

    fn scheduled(&self, index: usize) -> ScheduledStage {
        let needs: BTreeSet<usize> = self.links(index).filter_map(|link| self.places.get(&link.from).copied()).collect();
        let threaded = self.node(index).stage.threaded();
        let default = if threaded { DEFAULT_SECONDS_COMPUTING } else { DEFAULT_SECONDS };
        ScheduledStage {
            needs: needs.into_iter().collect(),
            seconds: self.planned(index).estimate.map_or(default, |estimate| estimate.as_secs_f64()),
            threaded,
            request: request(&self.node(index).resources),
        }
    }

    pub(super) fn node(&self, index: usize) -> &'a Node {
        &self.plan.dag.graph[self.plan.order[index]]
    }

    pub(super) fn name(&self, index: usize) -> StageName {
        self.node(index).name.clone()
    }

    /// How long the stage took in earlier runs, in seconds.
    pub(super) fn estimate(&self, index: usize) -> Option<f64> {
        self.planned(index).estimate.map(|estimate| estimate.as_secs_f64())
    }

    fn planned(&self, index: usize) -> &'a PlanEntry {
        &self.plan.entries[self.plan.order[index].index()]
    }

    /// The stage's inputs, as references to outputs of other stages.
    fn links(&self, index: usize) -> impl Iterator<Item = &'a Link> + use<'a> {
        self.node(index).inputs.values().flatten()
    }

    fn outputs_of(&self, node: NodeIndex) -> Option<&Outputs> {
        self.outputs[*self.places.get(&node)?].as_deref()
    }

    fn artifact(&self, link: &Link) -> Option<Artifact> {
        self.outputs_of(link.from)?.get(link.port.as_ref()).copied()
    }

    /// Looks up a stage in the store and, if it is not there, in the remotes. A miss is remembered.
    pub(super) fn look_up(&mut self, index: usize) -> Result<StageLookUp<'a>, StoreError> {
        // The plan has looked up already those stages of which it knew all inputs.
        let planned = self.planned(index);
        let is_lost = self.lost.contains(&index);
        if planned.state == StageState::Hit && !is_lost {
            let (key, outputs) = (planned.key, Cow::Borrowed(&planned.outputs));
            return Ok(StageLookUp::Hit { key, outputs });
        }
        let node = self.node(index);
        let Some(fingerprint) = self.resolver.fingerprint(node, |from| self.outputs_of(from)) else {
            return Ok(StageLookUp::Unknown);
        };
        let entry = if planned.key == Some(fingerprint.key()) && !is_lost {
            planned.clone()
        } else {
            self.resolver.look_up(node, &fingerprint)?
        };
        if entry.state == StageState::Hit {
            let (key, outputs) = (entry.key, Cow::Owned(entry.outputs));
            return Ok(StageLookUp::Hit { key, outputs });
        }
        let reason = entry.reason.map_or_else(String::new, |reason| reason.to_string());
        self.misses.insert(index, Miss { fingerprint, reason });
        Ok(StageLookUp::Miss)
    }

    /// The stage that [`Self::look_up`] did not find.
    pub(super) fn miss(&self, index: usize) -> Option<&Miss> {
        self.misses.get(&index)
    }

    /// Looks up a stage once more, in the store alone: another process may have computed it.
    pub(super) fn hit(&self, key: &Digest) -> Result<Option<Outputs>, StoreError> {
        self.resolver.hit(key)
    }

    /// The outputs of a stage have been found.
    pub(super) fn found(&mut self, index: usize, outputs: Cow<'a, Outputs>) {
        self.outputs[index] = Some(outputs);
    }

    /// The stage ran here, with these outputs.
    pub(super) fn made(&mut self, index: usize, outputs: Outputs) {
        self.made.insert(index);
        self.outputs[index] = Some(Cow::Owned(outputs));
    }

    /// The outputs of a stage are gone. Returns whether it ran here.
    pub(super) fn forget(&mut self, index: usize) -> bool {
        self.outputs[index] = None;
        self.lost.insert(index);
        self.made.remove(&index)
    }

    /// The digests of all artifacts that the plan or the run has found so far.
    pub(super) fn known_artifacts(&self) -> Vec<Digest> {
        let planned = self.plan.stages().map(|(_, _, entry)| &entry.outputs);
        let known = planned.chain(self.outputs.iter().filter_map(Option::as_deref));
        known.flat_map(|outputs| outputs.values().map(|artifact| artifact.digest)).collect()
    }

    /// The artifacts that the stage reads, as far as they are known.
    pub(super) fn inputs(&self, index: usize) -> Vec<Artifact> {
        self.links(index).filter_map(|link| self.artifact(link)).collect()
    }

    /// Those of them that are not in the store.
    pub(super) fn absent_inputs(&self, index: usize) -> Vec<Artifact> {
        let mut inputs = self.inputs(index);
        inputs.retain(|artifact| !self.store.has(artifact).unwrap_or(false));
        inputs
    }

    /// The paths of the artifacts that the stage reads, by input port.
    pub(super) fn input_paths(&self, index: usize) -> BTreeMap<String, Vec<PathBuf>> {
        let node = self.node(index);
        let path = |link: &Link| Some(self.store.object(&self.artifact(link)?.digest));
        let ports = node.inputs.iter();
        let mut paths: BTreeMap<String, Vec<PathBuf>> = ports
            .map(|(port, links)| (port.clone(), links.iter().filter_map(path).collect()))
            .collect();
        if let Some(place) = node.stage.source().and_then(|source| self.resolver.place(source)) {
            paths.insert(SOURCE.to_owned(), vec![place.to_owned()]);
        }
        paths
    }

    /// Checks that everything the stage reads is still in the store.
    pub(super) fn check_inputs(&self, index: usize) -> Result<InputCheck, StoreError> {
        let (mut lost, mut is_unknown) = (Vec::new(), false);
        for link in self.links(index) {
            let (Some(&from), Some(artifact)) = (self.places.get(&link.from), self.artifact(link)) else {
                is_unknown = true;
                continue;
            };
            if !lost.contains(&from) && !self.store.has(&artifact)? {
                lost.push(from);
            }
        }
        Ok(if is_unknown || !lost.is_empty() {
            InputCheck::Lost(lost)
        } else {
            InputCheck::Present
        })
    }
}

/// What the scheduler keeps free for a stage.
fn request(resources: &Resources) -> StageRequest {
    StageRequest {
        cores: resources.cores.map(NonZeroUsize::get),
        memory: resources.memory.map_or(0, |memory| memory.0),
        gpus: GpuRequest::of(resources),
    }
}

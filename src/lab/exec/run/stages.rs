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
use crate::plan::{Again, Link, Node, Plan, PlanEntry, Range, Resolver, StageState};
use crate::source::SOURCE;
use crate::store::{Artifact, Outputs, StageWish, Store, StoreError, keep_text};

/// The time that a stage which computes nothing is assumed to take, in seconds, when nothing like it ever ran.
pub(super) const DEFAULT_SECONDS: f64 = 0.1;

/// The same for a stage that computes. Only for the critical path.
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
    /// The stages that were looked up, and have to be once more.
    lost: BTreeMap<usize, LostStage>,
}

/// A stage whose outputs disappeared from the store after it was looked up, or whose inputs are others by now. What the plan found of it
/// does not count any more.
#[derive(Default)]
struct LostStage {
    /// The outputs that must be there when it is looked up again.
    needed: BTreeSet<String>,
    /// Its outputs as they were.
    before: Option<Outputs>,
}

/// An output that came out otherwise than before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChangedOutput {
    pub(super) port: String,
    pub(super) before: Digest,
    pub(super) now: Digest,
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
    /// These outputs of these stages are gone. Empty when they are being made again already.
    Lost(BTreeMap<usize, BTreeSet<String>>),
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
            lost: plan
                .order
                .iter()
                .enumerate()
                .filter_map(|(place, index)| asked(place, plan.entries.get(index.index())?))
                .collect(),
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
            seconds: self.forecast(index).map_or(default, |seconds| seconds.likely),
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

    /// How long the stage may take by earlier records, in seconds.
    pub(super) fn forecast(&self, index: usize) -> Option<Range> {
        Some(self.planned(index).forecast?.seconds)
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
        let lost = self.lost.get(&index);
        let is_lost = lost.is_some();
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
            let needed = lost.map(|lost| Cow::Borrowed(&lost.needed)).unwrap_or_default();
            self.resolver.look_up(node, &fingerprint, &needed)?
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
    pub(super) fn hit(&self, index: usize, key: &Digest) -> Result<Option<Outputs>, StoreError> {
        let needed = self.lost.get(&index).map(|lost| Cow::Borrowed(&lost.needed)).unwrap_or_default();
        self.resolver.hit(key, &needed)
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

    /// These outputs of a stage are gone. Returns whether it ran here.
    pub(super) fn forget(&mut self, index: usize, gone: &BTreeSet<String>) -> bool {
        let before = self.outputs[index].take().map(Cow::into_owned);
        let lost = self.lost.entry(index).or_default();
        lost.needed.extend(gone.iter().cloned());
        lost.before = before.or(lost.before.take());
        self.made.remove(&index)
    }

    /// Whether gc deleted one of these outputs of a stage: then it is no accident that they are gone.
    pub(super) fn is_deleted(&self, index: usize, ports: &BTreeSet<String>) -> bool {
        let outputs = self.outputs[index].as_deref();
        let artifacts = ports.iter().filter_map(|port| outputs?.get(port));
        artifacts.into_iter().any(|artifact| self.store.tombstone(artifact).is_some())
    }

    /// The outputs of a stage that was lost which are others now than they were.
    pub(super) fn changed(&self, index: usize, now: &Outputs) -> Vec<ChangedOutput> {
        let before = self.lost.get(&index).and_then(|lost| lost.before.as_ref());
        let changed = before.into_iter().flatten().filter_map(|(port, artifact)| {
            let now = now.get(port)?.digest;
            (now != artifact.digest).then(|| ChangedOutput {
                port: port.clone(),
                before: artifact.digest,
                now,
            })
        });
        changed.collect()
    }

    /// All stages that use the outputs of a stage, directly or not, count as not looked up: their keys may be others now. Returns those
    /// that had been found, with whether they ran here.
    pub(super) fn forget_users(&mut self, index: usize) -> Vec<(usize, bool)> {
        let mut stale: BTreeSet<usize> = BTreeSet::from([index]);
        // Each stage stands after those that it needs.
        for next in index + 1..self.count() {
            let mut needs = self.links(next).filter_map(|link| self.places.get(&link.from));
            if needs.any(|need| stale.contains(need)) {
                stale.insert(next);
            }
        }
        stale.remove(&index);
        let mut found = Vec::new();
        for next in stale {
            let was_found = self.outputs[next].take().is_some();
            // That it comes out otherwise is no surprise now.
            self.lost.entry(next).or_default().before = None;
            let ran_here = self.made.remove(&next);
            if was_found {
                found.push((next, ran_here));
            }
        }
        found
    }

    /// Whether the stage has this key, as far as its inputs are known by now.
    pub(super) fn has_key(&self, index: usize, key: &Digest) -> bool {
        // Only after something was lost can it be another one.
        let is_plain = !self.lost.contains_key(&index);
        let fingerprint = || self.resolver.fingerprint(self.node(index), |from| self.outputs_of(from));
        is_plain || fingerprint().is_some_and(|fingerprint| fingerprint.key() == *key)
    }

    /// What the experiment wishes for the stages that have been found or made.
    pub(super) fn wishes(&self) -> Vec<StageWish> {
        let open = |index: usize| {
            let users = self.plan.dag.graph.neighbors(self.plan.order[index]);
            let places: Vec<Option<usize>> = users.map(|user| self.places.get(&user).copied()).collect();
            let has_run = |place: &usize| self.outputs[*place].is_some();
            if places.iter().flatten().all(has_run) {
                // Those that the run did not look at may have run before.
                places.iter().all(Option::is_some).then_some(false)
            } else {
                Some(true)
            }
        };
        let wish = |index: usize| {
            self.outputs[index].as_ref()?;
            let planned = self.planned(index).key.filter(|_| !self.lost.contains_key(&index));
            let key = || Some(self.resolver.fingerprint(self.node(index), |from| self.outputs_of(from))?.key());
            Some(StageWish {
                key: planned.or_else(key)?,
                open: open(index),
                keep: keep_text(&self.node(index).keep),
            })
        };
        (0..self.count()).filter_map(wish).collect()
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
        let (mut lost, mut is_unknown) = (BTreeMap::<usize, BTreeSet<String>>::new(), false);
        for link in self.links(index) {
            let (Some(&from), Some(artifact)) = (self.places.get(&link.from), self.artifact(link)) else {
                is_unknown = true;
                continue;
            };
            if !self.store.has(&artifact)? {
                lost.entry(from).or_default().insert(link.port.to_string());
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

/// A stage that is computed again since it was asked for.
fn asked(place: usize, entry: &PlanEntry) -> Option<(usize, LostStage)> {
    (entry.again == Some(Again::Asked)).then(|| {
        let lost = LostStage {
            needed: entry.deleted.clone(),
            before: Some(entry.outputs.clone()),
        };
        (place, lost)
    })
}

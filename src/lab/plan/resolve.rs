//! DAG → plan: stage keys, and the records that the store has under them.

use std::cell::{OnceCell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::path::Path;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use super::earlier_records::{EarlierRecords, PresentStages};
use super::forecast::{Forecaster, Here, PastForecast};
use super::{Dag, Node, Plan, PlanEntry, StageState};
use crate::fingerprint::{Fingerprint, FingerprintChange, Reason, of_environment};
use crate::hash::Digest;
use crate::source::{CONTENT, Source, SourceContents};
use crate::store::remote::Remotes;
use crate::store::{Outputs, Presence, Record, RecordedOutputs, Store, StoreError};

/// Asks the store about stages, one at a time (while a run goes on) or all at once (for a plan).
pub struct Resolver<'a> {
    store: &'a Store,
    /// Part of the keys with `strict_numerics`.
    strict: Option<Strict>,
    /// The known contents of the sources that stages read.
    contents: SourceContents,
    /// Read when the first miss asks for it: a run of hits needs none.
    earlier_records: OnceCell<EarlierRecords>,
    /// The stages of the last plan.
    present: RefCell<PresentStages>,
    /// Asked for records that the store does not have.
    remotes: Option<&'a Remotes>,
    /// The stages of a plan whose outputs are to be here, whether another stage needs them or not.
    pub(super) wanted: BTreeSet<NodeIndex>,
    /// Where the stages run that forecasts are for.
    here: Here,
}

/// The instruction sets that decide the last bits of numbers on this machine.
#[derive(Clone, Debug)]
pub struct Strict {
    /// The instructions that the processor's own engine uses.
    pub processor: String,
    /// The same of the device that others compute on.
    pub device: String,
}

impl Strict {
    /// For stages of this numeric class.
    fn of(&self, numerics: &str) -> String {
        if numerics.starts_with("cpu ") {
            &self.processor
        } else {
            &self.device
        }
        .clone()
    }
}

impl<'a> Resolver<'a> {
    /// `strict` is given when `strict_numerics` puts it into the keys.
    pub fn new(store: &'a Store, strict: Option<Strict>) -> Self {
        Self {
            store,
            strict,
            contents: SourceContents::new(),
            earlier_records: OnceCell::new(),
            present: RefCell::default(),
            remotes: None,
            wanted: BTreeSet::new(),
            here: Here::default(),
        }
    }

    /// The resolver, for stages that run there: forecasts go by records of this sort of machine first.
    #[must_use]
    pub fn running(self, here: Here) -> Self {
        Self { here, ..self }
    }

    /// The resolver, for plans that have these stages computed again where gc deleted an output of theirs.
    #[must_use]
    pub fn wanting(self, wanted: BTreeSet<NodeIndex>) -> Self {
        Self { wanted, ..self }
    }

    /// The resolver, with what is known of the sources; a stage that reads another one has no key yet.
    #[must_use]
    pub fn knowing(self, contents: SourceContents) -> Self {
        Self { contents, ..self }
    }

    /// Where the content of a source is, if it is on this machine.
    pub fn place(&self, source: &Source) -> Option<&Path> {
        self.contents.get(source)?.place.as_deref()
    }

    /// Asks these, too.
    #[must_use]
    pub fn asking(self, remotes: &'a Remotes) -> Self {
        let remotes = Some(remotes).filter(|remotes| !remotes.is_empty());
        Self { remotes, ..self }
    }

    /// The plan for `targets` and all that they need (all stages where there are no targets).
    ///
    /// # Errors
    /// When the store is damaged or cannot be read.
    pub fn plan(&self, dag: Dag, targets: &BTreeSet<NodeIndex>) -> Result<Plan, StoreError> {
        let unknown = PlanEntry {
            state: StageState::Unknown,
            key: None,
            reason: None,
            outputs: Outputs::new(),
            is_here: false,
            deleted: BTreeSet::new(),
            again: None,
            is_accepted: false,
            forecast: None,
        };
        let mut entries = vec![unknown; dag.graph.node_count()];
        let order = order(&dag, targets);
        let mut open = order.clone();
        loop {
            // First the store, as far as its records lead. Then the remotes are asked for all misses at once; their records lead on.
            let (mut unknown, mut missed) = (Vec::new(), Vec::new());
            for &index in &open {
                let node = &dag.graph[index];
                let Some(fingerprint) = self.fingerprint(node, |from| known(&entries[from.index()])) else {
                    unknown.push(index);
                    continue;
                };
                let key = fingerprint.key();
                match self.look_at(self.store.recorded_of(&fingerprint, &key)?)? {
                    RecordLookUp::Hit(recorded, deleted) => entries[index.index()] = hit(key, recorded, deleted),
                    found => missed.push((index, fingerprint, found)),
                }
            }
            if !missed.is_empty() {
                *self.present.borrow_mut() = PresentStages::of(&dag);
            }
            let keys: Vec<Digest> = missed.iter().map(|(_, fingerprint, _)| fingerprint.key()).collect();
            let mut remote = self.remote(&keys)?;
            let leads_on = !remote.is_empty();
            for (index, fingerprint, found) in missed {
                let key = fingerprint.key();
                entries[index.index()] = match remote.remove(&key) {
                    Some(record) => self.elsewhere(key, record),
                    None => self.miss(&dag.graph[index], &fingerprint, found),
                };
            }
            open = unknown;
            if !leads_on {
                break;
            }
        }
        let mut plan = Plan { dag, order, entries };
        self.mark_again(&mut plan)?;
        if plan.to_run().next().is_some() {
            Forecaster::new(self.earlier_records()).fill(&mut plan, &self.here);
        }
        Ok(plan)
    }

    /// The fingerprint of a stage; `None` while an artifact at one of its inputs is not known.
    pub fn fingerprint<'b>(&self, node: &Node, outputs: impl Fn(NodeIndex) -> Option<&'b Outputs>) -> Option<Fingerprint> {
        let (mut params, mut files) = (Arc::clone(&node.canonical), BTreeMap::new());
        if let Some(source) = node.stage.source() {
            let content = self.contents.get(source)?;
            // A program sees the names of its files, so they enter the key one by one; a reason for a rerun can then name the file.
            if node.kind.command_line.is_some() && !content.files.is_empty() {
                files.clone_from(&content.files);
            } else {
                Arc::make_mut(&mut params)[CONTENT] = content.identity.as_str().into();
            }
        }
        for file in node.stage.files() {
            files.extend(self.contents.get(file)?.files.clone());
        }
        for file in node.stage.environment_files() {
            let found = &self.contents.get(file)?.files;
            files.extend(found.iter().map(|(name, digest)| (of_environment(name), *digest)));
        }
        let mut fingerprint = Fingerprint::new(node.kind.name, node.kind.version, params);
        fingerprint.files = files;
        fingerprint.seed = node.seed;
        fingerprint.numerics.clone_from(&node.numerics);
        let numerics = fingerprint.numerics.as_deref();
        fingerprint.instruction_set = numerics.zip(self.strict.as_ref()).map(|(numerics, strict)| strict.of(numerics));
        for (port, links) in &node.inputs {
            let digests: Option<Vec<Digest>> = links
                .iter()
                .map(|link| outputs(link.from)?.get(link.port.as_ref()).map(|artifact| artifact.digest))
                .collect();
            fingerprint.inputs.insert(port.clone(), digests?);
        }
        Some(fingerprint)
    }

    /// Hit or run, with the reason. A hit has the outputs at the ports `needed`, here or in a remote; others may have been deleted by gc.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read, or a remote that is required cannot be used.
    pub fn look_up(&self, node: &Node, fingerprint: &Fingerprint, needed: &BTreeSet<String>) -> Result<PlanEntry, StoreError> {
        let key = fingerprint.key();
        let found = match self.look_at(self.store.recorded_of(fingerprint, &key)?)?.having(needed) {
            RecordLookUp::Hit(recorded, deleted) => return Ok(hit(key, recorded, deleted)),
            found => found,
        };
        Ok(match self.remote(&[key])?.remove(&key) {
            Some(record) => self.elsewhere(key, record),
            None => self.miss(node, fingerprint, found),
        })
    }

    fn miss(&self, node: &Node, fingerprint: &Fingerprint, found: RecordLookUp) -> PlanEntry {
        let reason = match found {
            RecordLookUp::OutputMissing { port, digest } => Reason::OutputMissing { port, digest },
            RecordLookUp::OutputDeleted { port, digest } => Reason::OutputDeleted { port, digest },
            RecordLookUp::Hit(..) | RecordLookUp::Nothing => match self.store.ignored().get(&fingerprint.key()) {
                Some(distrust) => Reason::Distrusted(distrust.to_string()),
                None => self.earlier_records().reason(node, fingerprint, &self.present.borrow()),
            },
        };
        PlanEntry {
            state: StageState::Run,
            key: Some(fingerprint.key()),
            reason: Some(reason),
            outputs: Outputs::new(),
            is_here: false,
            deleted: BTreeSet::new(),
            again: None,
            is_accepted: false,
            forecast: None,
        }
    }

    /// A hit by the record of a remote.
    fn elsewhere(&self, key: Digest, record: Record) -> PlanEntry {
        let mut outputs = record.outputs.values();
        let is_here = outputs.all(|artifact| self.store.has(artifact).unwrap_or(false));
        let recorded = RecordedOutputs {
            outputs: record.outputs,
            is_accepted: false,
        };
        PlanEntry {
            is_here,
            ..hit(key, recorded, BTreeSet::new())
        }
    }

    /// The records that remotes have. Those whose outputs are all in the store become records of the store.
    pub(super) fn remote(&self, keys: &[Digest]) -> Result<BTreeMap<Digest, Record>, StoreError> {
        let Some(remotes) = self.remotes.filter(|_| !keys.is_empty()) else {
            return Ok(BTreeMap::new());
        };
        let found = remotes.find(self.store, keys);
        remotes.check_required()?;
        let here = |record: &&Record| record.outputs.values().all(|artifact| self.store.has(artifact).unwrap_or(false));
        self.store.adopt(&found.values().filter(here).collect::<Vec<_>>())?;
        Ok(found)
    }

    /// The outputs of the stage `key`, if it has a record and those at the ports `needed` are in the store; others may have been deleted
    /// by gc.
    ///
    /// # Errors
    /// When the store is damaged or cannot be read.
    pub fn hit(&self, key: &Digest, needed: &BTreeSet<String>) -> Result<Option<Outputs>, StoreError> {
        Ok(match self.look_at(self.store.recorded(key)?)?.having(needed) {
            RecordLookUp::Hit(recorded, _) => Some(recorded.outputs),
            RecordLookUp::OutputMissing { .. } | RecordLookUp::OutputDeleted { .. } | RecordLookUp::Nothing => None,
        })
    }

    /// Makes records of remotes records of the store, where all their outputs are in it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn adopt(&self, keys: &[Digest]) -> Result<(), StoreError> {
        self.remote(keys).map(drop)
    }

    /// Whether the store has the outputs of a record, or gc has deleted them.
    fn look_at(&self, recorded: Option<RecordedOutputs>) -> Result<RecordLookUp, StoreError> {
        let Some(recorded) = recorded else {
            return Ok(RecordLookUp::Nothing);
        };
        Ok(match self.store.presence(&recorded.outputs)? {
            Presence::Accounted { deleted } => RecordLookUp::Hit(recorded, deleted),
            Presence::Missing { port, digest } => RecordLookUp::OutputMissing { port, digest },
        })
    }

    /// The latest of the earlier records whose outputs may be accepted for a stage, with its differences from it: the same stage, with
    /// other files, environment or version of its kind, and with outputs that are still in the store. Else what keeps the nearest one
    /// from it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn acceptable(&self, node: &Node, now: &Fingerprint) -> Result<AcceptableRecord<'_>, StoreError> {
        let mut nearest = AcceptableRecord::None;
        for (record, changes) in self.earlier_records().of_stage(node, now) {
            let forbidden: Vec<FingerprintChange> = changes.iter().filter(|change| !is_acceptable(change, node)).cloned().collect();
            let is_gone = |artifact| self.store.has(artifact).map(|has| !has);
            if forbidden.is_empty() {
                let mut gone = false;
                for artifact in record.outputs.values() {
                    gone |= is_gone(artifact)?;
                }
                if !gone {
                    return Ok(AcceptableRecord::Found(record, changes));
                }
                nearest = AcceptableRecord::OutputsGone;
            } else if matches!(nearest, AcceptableRecord::None) {
                nearest = AcceptableRecord::OtherChanges(forbidden);
            }
        }
        Ok(nearest)
    }

    /// The latest stages of the kinds in a plan, at most so many, with what would have been forecast of each before its run.
    pub fn past_forecasts(&self, plan: &Plan, most: usize) -> Vec<PastForecast> {
        Forecaster::new(self.earlier_records()).past(plan, most)
    }

    pub(super) fn earlier_records(&self) -> &EarlierRecords {
        self.earlier_records.get_or_init(|| EarlierRecords::read(self.store))
    }
}

/// An earlier record whose outputs a person may accept for a stage.
#[derive(Debug)]
pub enum AcceptableRecord<'a> {
    /// There is one, with these differences.
    Found(&'a Record, Vec<FingerprintChange>),
    /// There is one, and its outputs are not in the store any more.
    OutputsGone,
    /// The stage computes something else: these differences cannot be accepted.
    OtherChanges(Vec<FingerprintChange>),
    /// The stage has never run.
    None,
}

/// Whether a person may say of this difference that it does not matter: another file or environment of a program, or version of the kind.
fn is_acceptable(change: &FingerprintChange, node: &Node) -> bool {
    match change {
        FingerprintChange::Version { .. } | FingerprintChange::File { .. } => true,
        FingerprintChange::Param { name, .. } if node.kind.command_line.is_some() => {
            name == CONTENT || name == ENVIRONMENT || name.starts_with(&format!("{ENVIRONMENT}."))
        }
        _ => false,
    }
}

/// The param with what decides the environment of a program.
const ENVIRONMENT: &str = "environment";

/// The result of looking a key up in the store.
enum RecordLookUp {
    /// With the ports of those outputs that gc deleted.
    Hit(RecordedOutputs, BTreeSet<String>),
    OutputMissing {
        port: String,
        digest: Digest,
    },
    /// One that is needed was deleted by gc.
    OutputDeleted {
        port: String,
        digest: Digest,
    },
    Nothing,
}

impl RecordLookUp {
    /// No hit, where one of the outputs `needed` was deleted.
    fn having(self, needed: &BTreeSet<String>) -> Self {
        let Self::Hit(recorded, deleted) = &self else { return self };
        let lacking = deleted.iter().find(|port| needed.contains(*port));
        match lacking.and_then(|port| Some((port, recorded.outputs.get(port)?))) {
            Some((port, artifact)) => Self::OutputDeleted {
                port: port.clone(),
                digest: artifact.digest,
            },
            None => self,
        }
    }
}

fn hit(key: Digest, recorded: RecordedOutputs, deleted: BTreeSet<String>) -> PlanEntry {
    PlanEntry {
        state: StageState::Hit,
        key: Some(key),
        reason: None,
        outputs: recorded.outputs,
        is_here: deleted.is_empty(),
        deleted,
        again: None,
        is_accepted: recorded.is_accepted,
        forecast: None,
    }
}

fn known(entry: &PlanEntry) -> Option<&Outputs> {
    (entry.state == StageState::Hit).then_some(&entry.outputs)
}

/// `targets` and all that they need (everything where there are no targets), each after its inputs and otherwise as in the file.
fn order(dag: &Dag, targets: &BTreeSet<NodeIndex>) -> Vec<NodeIndex> {
    let graph = &dag.graph;
    let mut needed = vec![targets.is_empty(); graph.node_count()];
    let mut open: Vec<NodeIndex> = targets.iter().copied().collect();
    while let Some(index) = open.pop() {
        if !std::mem::replace(&mut needed[index.index()], true) {
            open.extend(graph.neighbors_directed(index, Direction::Incoming));
        }
    }
    let mut waiting: Vec<usize> = graph
        .node_indices()
        .map(|index| graph.neighbors_directed(index, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<NodeIndex>> = graph
        .node_indices()
        .filter(|index| waiting[index.index()] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::new();
    while let Some(Reverse(index)) = ready.pop() {
        if needed[index.index()] {
            order.push(index);
        }
        for next in graph.neighbors_directed(index, Direction::Outgoing) {
            waiting[next.index()] -= 1;
            if waiting[next.index()] == 0 {
                ready.push(Reverse(next));
            }
        }
    }
    order
}

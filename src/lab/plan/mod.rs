//! Experiment → DAG → plan: which stages there are, and which of them the store already has.

mod again;
mod draft;
mod earlier_records;
mod forecast;
mod resolve;
mod selection;

pub use draft::{build, build_from};
pub use forecast::{Forecast, Here, PastForecast, PlanForecast, Range, StageTimes};
pub use resolve::{AcceptableRecord, Resolver, Strict};
pub use selection::{NothingSelected, Selection, matches, wildcard};

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petgraph::graph::{DiGraph, NodeIndex};

use crate::config::Resources;
use crate::event::StageName;
use crate::fingerprint::Reason;
use crate::hash::Digest;
use crate::stage::{Kind, Output, Stage};
use crate::store::{Artifact, Outputs, StageKeep};

/// All stages of all variants; equal stages are one node. Edges go from a stage to the stages that use its outputs.
pub struct Dag {
    pub experiment: String,
    /// The axes of the variants, in the order of the file; `ablate` is the first.
    pub axes: Vec<String>,
    pub graph: DiGraph<Node, ()>,
}

/// One stage, shared by every variant that has an equal one.
pub struct Node {
    /// The name, with the coordinates on which all variants that share the stage agree.
    pub name: StageName,
    /// `numbered`
    pub base: String,
    /// `3`
    pub index: Option<i64>,
    /// Whether it is one of several stages that a stage of the experiment stands for, and not the one that has its name.
    pub part: bool,
    /// The full coordinates of each variant that has this stage, and the stage's name there.
    pub members: Vec<StageName>,
    pub kind: &'static Kind,
    pub stage: Box<dyn Stage>,
    pub outputs: Vec<Output>,
    /// The params after defaults, as they enter the key. Shared with its fingerprints.
    pub canonical: Arc<serde_json::Value>,
    /// The numeric class, as it enters the key.
    pub numerics: Option<String>,
    /// The seed, for stages that draw.
    pub seed: Option<u64>,
    /// What it needs of the machine and may take: no part of the key.
    pub resources: Resources,
    /// By input port, in the order written.
    pub inputs: BTreeMap<String, Vec<Link>>,
    /// What the variants that have this stage wish for its outputs. It is in no key, and advises gc alone.
    pub keep: BTreeSet<StageKeep>,
}

/// A reference to another stage's output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    pub from: NodeIndex,
    /// The output port.
    pub port: Cow<'static, str>,
}

/// Whether a stage has to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageState {
    /// The store has its record.
    Hit,
    /// It has none.
    Run,
    /// It depends on a stage that has to run first.
    Unknown,
}

/// Why a stage is computed again whose outputs are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// This stage needs an output that gc deleted.
    NeededBy(NodeIndex),
    /// It was asked for by name.
    Asked,
}

/// The state of one node in a plan.
#[derive(Clone, Debug)]
pub struct PlanEntry {
    pub state: StageState,
    /// Known for hits and for stages to run.
    pub key: Option<Digest>,
    /// Why it has to run.
    pub reason: Option<Reason>,
    /// The outputs, for hits.
    pub outputs: Outputs,
    /// Whether the store has all of them; else they come from a remote when they are used, or were deleted by gc.
    pub is_here: bool,
    /// The outputs of a hit that gc deleted, by port. What is known of them stays: see [`crate::store::Tombstone`].
    pub deleted: BTreeSet<String>,
    /// Why a hit is computed again: one of its deleted outputs is needed, and no remote has it.
    pub again: Option<Again>,
    /// Whether the stage did not run so, and a person has accepted these outputs for it.
    pub is_accepted: bool,
    /// What may be expected of it, for stages that run; `None` where no record says anything.
    pub forecast: Option<Forecast>,
}

impl PlanEntry {
    /// Whether the stage has to run, or may have to.
    pub fn runs(&self) -> bool {
        self.state != StageState::Hit || self.again.is_some()
    }
}

/// The DAG with an entry for each selected stage.
pub struct Plan {
    pub dag: Dag,
    /// The selected stages and all that they need, each after its inputs.
    pub order: Vec<NodeIndex>,
    /// By node index; those of nodes that are not in `order` are unknown and unused.
    pub entries: Vec<PlanEntry>,
}

impl Plan {
    /// The selected stages, each after its inputs, with their entries.
    pub fn stages(&self) -> impl Iterator<Item = (NodeIndex, &Node, &PlanEntry)> {
        self.order
            .iter()
            .map(|&index| (index, &self.dag.graph[index], &self.entries[index.index()]))
    }

    /// Those of them that have to run, or may have to: their outputs are not known, or were deleted and are needed again.
    pub fn to_run(&self) -> impl Iterator<Item = (NodeIndex, &Node, &PlanEntry)> {
        self.stages().filter(|(_, _, entry)| entry.runs())
    }

    /// Those of them that run only because gc deleted an output.
    pub fn made_again(&self) -> impl Iterator<Item = (NodeIndex, &Node, &PlanEntry)> {
        self.stages().filter(|(_, _, entry)| entry.again.is_some())
    }

    /// The artifact that a reference leads to; `None` while the stage that writes it has not run.
    pub fn artifact(&self, link: &Link) -> Option<&Artifact> {
        self.entries.get(link.from.index())?.outputs.get(link.port.as_ref())
    }

    /// The number of stages in `state`.
    pub fn count(&self, state: StageState) -> usize {
        self.stages().filter(|(_, _, entry)| entry.state == state).count()
    }
}

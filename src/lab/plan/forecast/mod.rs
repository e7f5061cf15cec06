//! Forecasts: how long the stages of a plan may take and how much they may write, scaled from earlier records by what drives both.
//!
//! A forecast is a weighted mean of the records of the same kind, each scaled to the effort of the stage ([`crate::stage::Effort`]). The
//! more a record has in common with the stage, the more it counts. The range widens with the distance to the nearest record, and with how
//! little the records agree.

mod past;
mod range;
mod similarity;
mod stage_times;

pub use past::PastForecast;
pub use range::Range;
pub use stage_times::StageTimes;

use std::collections::HashMap;

use petgraph::graph::NodeIndex;

use super::earlier_records::EarlierRecords;
use super::{Node, Plan};
use crate::hash::Digest;
use crate::stage::{InputSizes, Kind};
use crate::store::{Machine, Record};
use similarity::{Comparison, Subject, compare};

/// Where and with what the stages of a plan would run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Here {
    pub machine: Machine,
    /// The threads that a stage gets, of those that run at once.
    pub threads: usize,
}

/// What may be expected of a stage that runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    pub seconds: Range,
    /// The size of all its outputs.
    pub bytes: Range,
}

/// What may be expected of all stages of a plan that have to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanForecast {
    /// The time on the clock.
    pub seconds: Range,
    /// The size of what they write.
    pub bytes: Range,
    /// The stages of which the store has no record to go by; the sums lack them.
    pub unknown: Vec<NodeIndex>,
}

/// The time that starting a worker and writing a record takes, whatever the stage does, in seconds.
const FIXED_SECONDS: f64 = 0.003;

/// The least time beyond it that is told apart from nothing.
const LEAST_SECONDS: f64 = 0.0005;

/// Earlier records, with the sizes of their artifacts.
pub(super) struct Forecaster<'a> {
    records: &'a EarlierRecords,
    bytes: HashMap<Digest, u64>,
}

/// A record that a forecast goes by.
type Basis<'a> = (&'a Record, Comparison);

impl<'a> Forecaster<'a> {
    pub(super) fn new(records: &'a EarlierRecords) -> Self {
        let artifacts = records.all().iter().flat_map(|record| record.outputs.values());
        Self {
            records,
            bytes: artifacts.map(|artifact| (artifact.digest, artifact.bytes)).collect(),
        }
    }

    /// Writes a forecast for each stage of a plan that has to run, as far as there are records of its kind.
    pub(super) fn fill(&self, plan: &mut Plan, here: &Here) {
        // Of outputs that are known, and of those to come, as far as they can be told.
        let mut sizes: HashMap<(NodeIndex, String), f64> = HashMap::new();
        // Each stage stands after those that it needs.
        for &index in &plan.order {
            let (Some(node), Some(entry)) = (plan.dag.graph.node_weight(index), plan.entries.get_mut(index.index())) else {
                continue;
            };
            let known = entry.outputs.iter();
            sizes.extend(known.map(|(port, artifact)| ((index, port.clone()), artifact.bytes as f64)));
            if !entry.runs() {
                continue;
            }
            let mut inputs = InputSizes::default();
            for (port, links) in &node.inputs {
                let bytes = |link: &super::Link| sizes.get(&(link.from, link.port.to_string())).copied();
                links.iter().for_each(|link| inputs.add(port, bytes(link)));
            }
            let basis = self.basis(&node.name.name, node.kind, &subject(node, &inputs, here), |_| true);
            entry.forecast = forecast(&basis);
            if entry.outputs.is_empty() {
                let ports = node.outputs.iter().map(|output| output.name.as_ref());
                sizes.extend(ports.filter_map(|port| Some(((index, port.to_owned()), size_of_output(&basis, port)?))));
            }
        }
    }

    /// The records that say something of a stage and `count`, compared with it.
    fn basis(&self, name: &str, kind: &Kind, subject: &Subject<'_>, counts: impl Fn(&Record) -> bool) -> Vec<Basis<'_>> {
        let records = self.records.like(kind.name, name);
        let records = records.filter(|record| record.accepted.is_none() && counts(record));
        records
            .map(|record| (record, compare(&self.subject(record, kind), subject, kind.command_line)))
            .collect()
    }

    /// The stage of a record.
    fn subject<'r>(&self, record: &'r Record, kind: &Kind) -> Subject<'r> {
        let mut inputs = InputSizes::default();
        for (port, digests) in &record.fingerprint.inputs {
            let bytes = |digest: &Digest| self.bytes.get(digest).map(|&bytes| bytes as f64);
            digests.iter().for_each(|digest| inputs.add(port, bytes(digest)));
        }
        Subject {
            name: &record.stage,
            numerics: record.fingerprint.numerics.as_deref(),
            machine: &record.machine,
            gpus: record.provenance.gpus.len(),
            threads: record.threads,
            params: &record.fingerprint.params,
            effort: (kind.effort)(&record.fingerprint.params, &inputs),
        }
    }
}

impl Plan {
    /// What may be expected of all stages that have to run, of which so many run at once.
    pub fn forecast(&self, at_once: usize) -> PlanForecast {
        let mut all = PlanForecast::default();
        if self.to_run().next().is_none() {
            return all;
        }
        let mut times = StageTimes::new(self.entries.len());
        for (index, node, entry) in self.stages() {
            let needs = node.inputs.values().flatten().map(|link| link.from.index());
            let forecast = entry.forecast.filter(|_| entry.runs());
            times.add(index.index(), needs, forecast.map(|forecast| forecast.seconds).unwrap_or_default());
            match forecast {
                Some(forecast) => all.bytes = all.bytes.and(forecast.bytes),
                None if entry.runs() => all.unknown.push(index),
                None => {}
            }
        }
        all.seconds = times.on_the_clock(at_once);
        all
    }
}

/// A stage of a plan.
fn subject<'n>(node: &'n Node, inputs: &InputSizes, here: &'n Here) -> Subject<'n> {
    Subject {
        name: &node.name.name,
        numerics: node.numerics.as_deref(),
        machine: &here.machine,
        gpus: node.resources.gpus(),
        threads: node.resources.cores.map_or(here.threads, usize::from),
        params: &node.canonical,
        effort: (node.kind.effort)(&node.canonical, inputs),
    }
}

/// What these records say of a stage; `None` where there are none.
fn forecast(basis: &[Basis<'_>]) -> Option<Forecast> {
    let seconds = basis.iter().map(|(record, comparison)| {
        let spent = (record.seconds - FIXED_SECONDS).max(LEAST_SECONDS);
        (comparison.distance, spent * comparison.time)
    });
    let bytes = basis.iter().map(|(record, comparison)| {
        let written: u64 = record.outputs.values().map(|artifact| artifact.bytes).sum();
        (comparison.distance, written.max(1) as f64 * comparison.size)
    });
    Some(Forecast {
        seconds: range::weighted(seconds)?.plus(FIXED_SECONDS),
        bytes: range::weighted(bytes)?,
    })
}

/// The likely size of one output.
fn size_of_output(basis: &[Basis<'_>], port: &str) -> Option<f64> {
    let written = basis.iter().filter_map(|(record, comparison)| {
        let bytes = record.outputs.get(port)?.bytes.max(1) as f64;
        Some((comparison.distance, bytes * comparison.size))
    });
    Some(range::weighted(written)?.likely)
}

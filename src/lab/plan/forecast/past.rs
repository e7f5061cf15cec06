//! How good forecasts are: each record is forecast from those that were there when its run began.

use std::collections::BTreeMap;

use super::{Forecaster, Range, forecast};
use crate::event::StageName;
use crate::plan::Plan;
use crate::stage::Kind;
use crate::store::Record;

/// A stage that ran, with what would have been forecast of it before.
#[derive(Clone, Debug, PartialEq)]
pub struct PastForecast {
    pub stage: StageName,
    pub kind: String,
    /// What it took.
    pub seconds: f64,
    pub forecast: Range,
}

impl Forecaster<'_> {
    /// The latest records of the kinds in a plan, at most so many, with the forecast of each from the records that were there when its run
    /// began. Those of which nothing could be said are left out.
    pub(in crate::plan) fn past(&self, plan: &Plan, most: usize) -> Vec<PastForecast> {
        let kinds: BTreeMap<&str, &Kind> = plan.dag.graph.node_weights().map(|node| (node.kind.name, node.kind)).collect();
        let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
        for record in self.records.all() {
            let first = begun.entry(&record.run).or_insert(record.started);
            *first = record.started.min(*first);
        }
        let past = |record: &Record| {
            let kind = kinds.get(record.fingerprint.kind.as_str()).filter(|_| record.accepted.is_none())?;
            let began = begun.get(record.run.as_str()).copied().unwrap_or(record.started);
            let was_there = |other: &Record| other.run != record.run && other.started as f64 + other.seconds <= began as f64;
            let basis = self.basis(&record.stage, kind, &self.subject(record, kind), was_there);
            Some(PastForecast {
                stage: StageName {
                    name: record.stage.clone(),
                    variant: record.variant.clone(),
                },
                kind: kind.name.to_owned(),
                seconds: record.seconds,
                forecast: forecast(&basis)?.seconds,
            })
        };
        self.records.all().iter().filter_map(past).take(most).collect()
    }
}

//! A run as a side of a comparison: the stages that it executed.

use serde_json::Value;

use super::facts::{FactKind, StageFacts, add_digests, add_metrics, add_value};
use super::side::DiffSide;
use crate::error::LookupError;
use crate::gather;
use kinds::artifact::metrics::Metrics;
use lab::event::StageName;
use lab::plan::{NothingSelected, Selection};
use lab::store::{Record, Store, StoreError};

impl DiffSide {
    /// The selected stages that the run executed. `None` if the store has no record of the run.
    ///
    /// # Errors
    /// When the run executed no selected stage, or the store is damaged.
    pub fn of_run(name: &str, store: &Store, selection: &Selection) -> Result<Option<Self>, LookupError> {
        let mut records: Vec<Record> = store.records().filter(|record| record.run == name).collect();
        if records.is_empty() {
            return Ok(None);
        }
        records.sort_by(|a, b| (a.started, &a.stage, &a.variant).cmp(&(b.started, &b.stage, &b.variant)));
        let mut side = Self::empty(name);
        for record in records {
            let stage = StageName {
                name: record.stage.clone(),
                variant: record.variant.clone(),
            };
            if selection.fits(&stage) {
                side.stages.push((stage, facts_of_record(&record, store)?));
            }
        }
        if side.stages.is_empty() {
            return Err(NothingSelected(format!("the run {name} executed no selected stage")).into());
        }
        Ok(Some(side))
    }
}

fn facts_of_record(record: &Record, store: &Store) -> Result<StageFacts, StoreError> {
    let fingerprint = &record.fingerprint;
    let mut facts = StageFacts::new();
    add_value(&mut facts, FactKind::Kind, "", &Value::from(fingerprint.kind.as_str()));
    add_value(&mut facts, FactKind::Param, "", &fingerprint.params);
    if let Some(seed) = fingerprint.seed {
        add_value(&mut facts, FactKind::Seed, "", &Value::from(seed));
    }
    if let Some(numbers) = &fingerprint.numerics {
        add_value(&mut facts, FactKind::Numbers, "", &Value::from(numbers.as_str()));
    }
    for (port, digests) in &fingerprint.inputs {
        let digests: Vec<_> = digests.iter().copied().map(Some).collect();
        add_digests(&mut facts, FactKind::Input, port, &digests);
    }
    for (port, artifact) in &record.outputs {
        add_digests(&mut facts, FactKind::Output, port, &[Some(artifact.digest)]);
    }
    add_scores(&mut facts, record, store)?;
    Ok(facts)
}

/// Adds the metrics of an evaluation, or of a program.
fn add_scores(facts: &mut StageFacts, record: &Record, store: &Store) -> Result<(), StoreError> {
    let kind = record.fingerprint.kind.as_str();
    let mut of_program = Vec::new();
    for (port, artifact) in &record.outputs {
        if !artifact.folder || !["eval", "command"].contains(&kind) || !(store.has(artifact)? || store.tombstone(artifact).is_some()) {
            continue;
        }
        let place = store.readable(&artifact.digest);
        if !place.is_dir() {
            continue;
        }
        let found = gather::read_metrics(&place);
        match (kind, found) {
            // The record does not have the names of the data sets, only their order.
            ("eval", sets) => {
                for (index, metrics) in sets?.into_sets().iter().enumerate() {
                    add_metrics(facts, &format!("data[{index}]"), metrics);
                }
            }
            // The record does not have the types of the outputs: what reads as metrics is such.
            (_, Ok(Metrics::Any(metrics))) => of_program.push((port, metrics)),
            _ => {}
        }
    }
    for (port, metrics) in &of_program {
        let data = if of_program.len() > 1 { port.as_str() } else { "" };
        add_metrics(facts, data, metrics);
    }
    Ok(())
}

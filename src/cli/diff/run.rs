//! A run, by its name in the store, as a side of a comparison: the stages that it executed.

use std::path::Path;

use serde_json::{Map, Value};

use super::{add, add_digests, add_metrics};
use crate::cli::CliError;
use crate::cli::experiment::ExperimentArgs;
use crate::cli::session::{folder, settings};
use lab::event::StageName;
use lab::plan::Selection;
use lab::store::{Record, Store, StoreError};
use report::diff::{About, Facts, Side};
use report::gather::collect;

/// The run of which `experiment.file` is the name; nothing if the store has no stage of it.
pub(super) fn side(experiment: &ExperimentArgs, selection: &Selection) -> Result<Option<Side>, CliError> {
    let name = experiment.file.to_string_lossy().into_owned();
    let folder = folder(&settings(Path::new(""), &experiment.store)?);
    if !folder.exists() {
        return Ok(None);
    }
    let store = Store::open(&folder)?;
    let mut records: Vec<Record> = store.records().filter(|record| record.run == name).collect();
    if records.is_empty() {
        return Ok(None);
    }
    records.sort_by(|a, b| (a.started, &a.stage, &a.variant).cmp(&(b.started, &b.stage, &b.variant)));
    let mut stages = Vec::new();
    for record in records {
        let stage = StageName {
            name: record.stage.clone(),
            variant: record.variant.clone(),
        };
        if selection.fits(&stage) {
            stages.push((stage, facts(&record, &store)?));
        }
    }
    if stages.is_empty() {
        return Err(CliError::NothingSelected(format!("the run {name} executed no stage that fits")));
    }
    Ok(Some(Side { name, stages }))
}

fn facts(record: &Record, store: &Store) -> Result<Facts, StoreError> {
    let fingerprint = &record.fingerprint;
    let mut facts = Facts::new();
    add(&mut facts, About::Kind, "", &Value::from(fingerprint.kind.as_str()));
    add(&mut facts, About::Param, "", &fingerprint.params);
    if let Some(seed) = fingerprint.seed {
        add(&mut facts, About::Seed, "", &Value::from(seed));
    }
    if let Some(numbers) = &fingerprint.numerics {
        add(&mut facts, About::Numbers, "", &Value::from(numbers.as_str()));
    }
    for (port, digests) in &fingerprint.inputs {
        let digests: Vec<_> = digests.iter().copied().map(Some).collect();
        add_digests(&mut facts, About::Input, port, &digests);
    }
    for (port, artifact) in &record.outputs {
        add_digests(&mut facts, About::Output, port, &[Some(artifact.digest)]);
        if artifact.folder && fingerprint.kind == "eval" && store.has(artifact)? {
            // The record knows its data sets by their places.
            let sets: Vec<Map<String, Value>> = collect::metrics(&store.object(&artifact.digest))?;
            let named = sets.iter().enumerate();
            named.for_each(|(place, metrics)| add_metrics(&mut facts, &format!("data[{place}]"), metrics));
        }
    }
    Ok(facts)
}

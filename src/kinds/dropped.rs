//! Tells what a stage that selects has dropped: to the user, and in an artifact of metrics.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use crate::metrics::{MetricMap, MetricValue};
use crate::selection::tally::Tally;
use lab::event::Progress;
use lab::stage::{StageContext, StageError, failed};
use learn::dataset;

/// Reports how many of `total` were kept, and how many were dropped for each reason; warns if nothing was kept.
pub(super) fn tell(context: &StageContext<'_>, unit: &str, total: usize, tally: &Tally) {
    let total = total as u64;
    let mut readings = BTreeMap::from([("kept".to_owned(), total.saturating_sub(tally.dropped()) as f64)]);
    let reasons = tally.reasons().iter().filter(|reason| reason.count > 0);
    readings.extend(reasons.map(|reason| (reason.name.clone(), reason.count as f64)));
    (context.progress)(Progress {
        done: total,
        total,
        unit: unit.to_owned(),
        readings,
    });
    if let Some(message) = tally.nothing_left(unit, total) {
        (context.warn)(&message);
    }
}

/// Writes the artifact of the output port `dropped`: metrics with the numbers, and a few rows of each reason as examples.
pub(super) fn write(context: &StageContext<'_>, total: usize, tally: &Tally) -> Result<(), StageError> {
    let folder = context.outputs.join("dropped");
    let cannot = |cause: std::io::Error| failed(format!("cannot write {}: {cause}", folder.display()));
    fs::create_dir_all(&folder).map_err(cannot)?;
    let counts = tally.reasons().iter().map(|reason| (reason.name.clone(), reason.count.into()));
    let counts: MetricMap = counts.collect();
    let kept = (total as u64).saturating_sub(tally.dropped());
    let metrics: MetricMap = [
        ("rows".to_owned(), MetricValue::from(total as u64)),
        ("kept".to_owned(), kept.into()),
        ("dropped".to_owned(), counts.into()),
    ]
    .into_iter()
    .collect();
    let text = serde_json::to_string_pretty(&json!(metrics)).map_err(failed)?;
    fs::write(folder.join("metrics.json"), text + "\n").map_err(cannot)?;
    let samples: Vec<_> = tally.reasons().iter().flat_map(|reason| &reason.samples).collect();
    if samples.is_empty() {
        return Ok(());
    }
    dataset::write(&folder.join("examples.jsonl"), &samples).map_err(failed)
}

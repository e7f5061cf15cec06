//! Describes the stages of a plan for the page.

use petgraph::graph::NodeIndex;

use crate::record_text::acceptance;
use crate::stage_details::{InputDetails, OutputDetails, StageDetails, StageRun, StageStatus, StepRange};
use kinds::artifact::{curve, data_set};
use lab::plan::{self, Node, Plan, PlanEntry};
use lab::stage::PortType;
use lab::store::{Record, Store, StoreError};
use lab::text::duration;

/// The stages of the plan. Outputs and records are read for the stages that are in the store.
///
/// # Errors
/// When the store is damaged.
pub fn stages(plan: &Plan, store: &Store) -> Result<Vec<StageDetails>, StoreError> {
    let mut found = Vec::new();
    for (index, node, entry) in plan.stages() {
        let record = match (entry.state, &entry.key) {
            (plan::StageState::Hit, Some(key)) => store.record(key)?,
            _ => None,
        };
        found.push((index, node, entry, record));
    }
    let records = found.iter().filter_map(|(_, _, _, record)| record.as_ref());
    let latest = records.max_by_key(|record| record.started).map(|record| record.run.clone());
    let stage = |(index, node, entry, record): (NodeIndex, &Node, &PlanEntry, Option<Record>)| StageDetails {
        id: index.index(),
        name: node.name.name.clone(),
        variant: node.name.variant.clone(),
        base: node.base.clone(),
        index: node.index,
        kind: node.kind.name,
        state: stage_status(entry, record.as_ref(), latest.as_deref()),
        key: entry.key,
        reason: reason(entry, record.as_ref()),
        params: (*node.canonical).clone(),
        seed: node.seed,
        numerics: node.stage.numerics(),
        inputs: inputs(plan, node),
        outputs: outputs(node, entry, store),
        ran: record.map(stage_run),
    };
    Ok(found.into_iter().map(stage).collect())
}

fn stage_status(entry: &PlanEntry, record: Option<&Record>, latest: Option<&str>) -> StageStatus {
    match entry.state {
        plan::StageState::Run => StageStatus::Run,
        plan::StageState::Unknown => StageStatus::Unknown,
        plan::StageState::Hit if record.is_some_and(|record| latest == Some(record.run.as_str())) => StageStatus::Ran,
        plan::StageState::Hit => StageStatus::Cached,
    }
}

/// Why the stage has to run, or why it did not have to.
fn reason(entry: &PlanEntry, record: Option<&Record>) -> Option<String> {
    let accepted = record.and_then(|record| record.accepted.as_ref()).map(acceptance);
    accepted.or_else(|| entry.reason.as_ref().map(ToString::to_string))
}

fn inputs(plan: &Plan, node: &Node) -> Vec<InputDetails> {
    let links = node
        .inputs
        .iter()
        .flat_map(|(port, links)| links.iter().map(move |link| (port, link)));
    let digest = |link: &plan::Link| plan.artifact(link).map(|artifact| artifact.digest);
    links
        .map(|(port, link)| InputDetails {
            port: port.clone(),
            stage: link.from.index(),
            output: link.port.to_string(),
            digest: digest(link),
        })
        .collect()
}

fn outputs(node: &Node, entry: &PlanEntry, store: &Store) -> Vec<OutputDetails> {
    let type_of = |port: &str| node.outputs.iter().find(|output| output.name == port).map(|output| output.port);
    let output = |(port, artifact): (&String, &lab::store::Artifact)| {
        let path = store.readable(&artifact.digest);
        let steps = match type_of(port) {
            Some(PortType::Dataset) => data_set::step_counts(&path).unwrap_or_default(),
            _ => Vec::new(),
        };
        OutputDetails {
            port: port.clone(),
            digest: artifact.digest,
            bytes: artifact.bytes,
            // The answers of an evaluation are those that it measures, which the report counts.
            rows: match type_of(port).filter(|_| !node.part) {
                Some(PortType::Dataset | PortType::Answers) => data_set::count(&path).ok(),
                _ => None,
            },
            steps: step_range(&steps),
            validation: (type_of(port) == Some(PortType::Model))
                .then(|| curve::read_summary(&path))
                .flatten(),
        }
    };
    entry.outputs.iter().map(output).collect()
}

fn step_range(steps: &[u32]) -> Option<StepRange> {
    let sum: u64 = steps.iter().copied().map(u64::from).sum();
    Some(StepRange {
        least: *steps.iter().min()?,
        mean: sum as f64 / steps.len() as f64,
        most: *steps.iter().max()?,
    })
}

fn stage_run(record: Record) -> StageRun {
    let began = i64::try_from(record.started)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    StageRun {
        at: began.map_or_else(String::new, |began| began.strftime("%Y-%m-%d %H:%M").to_string()),
        took: duration(record.seconds),
        threads: record.threads,
        host: record.machine.host,
        cores: record.machine.cores,
        instruction_set: record.machine.instruction_set,
        runner: record.machine.runner,
        run: record.run,
        experiment: record.experiment,
    }
}

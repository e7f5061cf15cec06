//! The stages of a plan with all that says where their outputs come from.

use petgraph::graph::NodeIndex;

use crate::findings::{Input, Output, Ran, Stage, State, Steps};
use kinds::artifact::data_set;
use lab::hash::Digest;
use lab::plan::{self, Entry, Node, Plan};
use lab::stage::PortType;
use lab::store::{Record, Store, StoreError};
use lab::text::duration;

pub fn stages(plan: &Plan, store: &Store) -> Result<Vec<Stage>, StoreError> {
    let mut found = Vec::new();
    for (index, node, entry) in plan.stages() {
        let record = match (entry.state, &entry.key) {
            (plan::State::Hit, Some(key)) => store.record(key)?,
            _ => None,
        };
        found.push((index, node, entry, record));
    }
    let records = found.iter().filter_map(|(_, _, _, record)| record.as_ref());
    let latest = records.max_by_key(|record| record.started).map(|record| record.run.clone());
    let stage = |(index, node, entry, record): (NodeIndex, &Node, &Entry, Option<Record>)| Stage {
        id: index.index(),
        name: node.name.name.clone(),
        variant: node.name.variant.clone(),
        base: node.base.clone(),
        index: node.index,
        kind: node.kind.name,
        state: state(entry, record.as_ref(), latest.as_deref()),
        key: entry.key,
        reason: entry.reason.as_ref().map(ToString::to_string),
        params: node.stage.params(),
        seed: node.seed,
        numerics: node.stage.numerics(),
        inputs: inputs(plan, node),
        outputs: outputs(node, entry, store),
        ran: record.map(ran),
    };
    Ok(found.into_iter().map(stage).collect())
}

fn state(entry: &Entry, record: Option<&Record>, latest: Option<&str>) -> State {
    match entry.state {
        plan::State::Run => State::Run,
        plan::State::Unknown => State::Unknown,
        plan::State::Hit if record.is_some_and(|record| latest == Some(record.run.as_str())) => State::Ran,
        plan::State::Hit => State::Cached,
    }
}

fn inputs(plan: &Plan, node: &Node) -> Vec<Input> {
    let links = node
        .inputs
        .iter()
        .flat_map(|(port, links)| links.iter().map(move |link| (port, link)));
    let digest =
        |link: &plan::Link| -> Option<Digest> { Some(plan.entries.get(link.from.index())?.outputs.get(link.port.as_ref())?.digest) };
    links
        .map(|(port, link)| Input {
            port: port.clone(),
            stage: link.from.index(),
            output: link.port.to_string(),
            digest: digest(link),
        })
        .collect()
}

fn outputs(node: &Node, entry: &Entry, store: &Store) -> Vec<Output> {
    let type_of = |port: &str| node.outputs.iter().find(|output| output.name == port).map(|output| output.port);
    let output = |(port, artifact): (&String, &lab::store::Artifact)| {
        let path = store.object(&artifact.digest);
        let steps = match type_of(port) {
            Some(PortType::Dataset) => data_set::step_counts(&path).unwrap_or_default(),
            _ => Vec::new(),
        };
        Output {
            port: port.clone(),
            digest: artifact.digest,
            bytes: artifact.bytes,
            rows: match type_of(port) {
                Some(PortType::Dataset | PortType::Answers) => data_set::count(&path).ok(),
                _ => None,
            },
            steps: summed_up(&steps),
        }
    };
    entry.outputs.iter().map(output).collect()
}

fn summed_up(steps: &[u32]) -> Option<Steps> {
    let sum: u64 = steps.iter().copied().map(u64::from).sum();
    Some(Steps {
        least: *steps.iter().min()?,
        mean: sum as f64 / steps.len() as f64,
        most: *steps.iter().max()?,
    })
}

fn ran(record: Record) -> Ran {
    let began = i64::try_from(record.started)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    Ran {
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

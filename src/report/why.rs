//! The walk from a number in the report back through stages, params and data to the sources.

use std::collections::BTreeSet;

use kinds::metrics::MetricValue;
use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use crate::error::LookupError;
use crate::gather;
use crate::record_text::{param_lines, program_and_commit, time_and_user};
use lab::config::known;
use lab::plan::{Link, Node, NothingSelected, Plan, StageState};
use lab::store::{Record, Store, StoreError};
use lab::text::{duration, printable};

/// The stages behind some numbers, or behind some stages.
#[derive(Clone, Debug)]
pub struct ProvenanceReport {
    pub text: String,
    pub json: Value,
}

impl ProvenanceReport {
    /// Walks back from the stages in `targets` that have measured `metric`; without a metric, from all of them.
    ///
    /// # Errors
    /// When no stage has the metric, or the store cannot be read.
    pub fn trace(plan: &Plan, store: &Store, targets: &BTreeSet<NodeIndex>, metric: Option<&str>) -> Result<Self, LookupError> {
        let mut walk = WalkBack {
            plan,
            store,
            described: BTreeSet::new(),
            text: String::new(),
        };
        let (mut chains, mut metrics) = (Vec::new(), BTreeSet::new());
        for index in plan.order.iter().copied().filter(|index| targets.contains(index)) {
            let mut numbers = measured_numbers(plan, store, index)?;
            metrics.extend(numbers.iter().map(|number| number.metric.clone()));
            numbers.retain(|number| metric.is_none_or(|metric| number.metric == metric));
            if metric.is_none() || !numbers.is_empty() {
                walk.add_text(index, &numbers)?;
                let numbers: Vec<Value> = numbers.iter().map(MeasuredNumber::as_json).collect();
                chains.push(json!({"numbers": numbers, "stages": walk.as_json(index)?}));
            }
        }
        if chains.is_empty() {
            let known = if metrics.is_empty() {
                "no stage has metrics yet".to_owned()
            } else {
                known(metrics.iter().map(String::as_str))
            };
            let name = metric.unwrap_or_default();
            return Err(NothingSelected(format!("no stage or metric `{name}` ({known})")).into());
        }
        Ok(Self {
            text: walk.text,
            json: json!({"experiment": plan.dag.experiment, "chains": chains}),
        })
    }
}

/// One metric of a stage on one data set.
struct MeasuredNumber {
    data: String,
    metric: String,
    value: Value,
}

impl MeasuredNumber {
    fn as_json(&self) -> Value {
        json!({"data": self.data, "metric": self.metric, "value": self.value})
    }
}

/// All numbers that a stage has measured; none for a stage that is not in the store.
fn measured_numbers(plan: &Plan, store: &Store, index: NodeIndex) -> Result<Vec<MeasuredNumber>, StoreError> {
    let mut numbers = Vec::new();
    for gather::MeasuredSet { data, metrics } in gather::measured(plan, store, index)? {
        let Some(metrics) = metrics else { continue };
        let mut measured: Vec<MeasuredNumber> = metrics
            .flattened()
            .into_iter()
            .filter_map(|(metric, value)| match value {
                MetricValue::Number(_) | MetricValue::NotFinite(_) => Some(MeasuredNumber {
                    data: data.clone(),
                    metric,
                    value: json!(value),
                }),
                _ => None,
            })
            .collect();
        measured.sort_by(|one, other| one.metric.cmp(&other.metric));
        numbers.extend(measured);
    }
    Ok(numbers)
}

/// The walk back. Each stage is described once and named after that.
struct WalkBack<'a> {
    plan: &'a Plan,
    store: &'a Store,
    described: BTreeSet<NodeIndex>,
    text: String,
}

impl<'a> WalkBack<'a> {
    fn add_text(&mut self, index: NodeIndex, numbers: &[MeasuredNumber]) -> Result<(), StoreError> {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        for MeasuredNumber { data, metric, value } in numbers {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let on = if data.is_empty() {
                String::new()
            } else {
                format!(" on {}", printable(data))
            };
            self.text += &format!("{} = {value}{on}\n", printable(metric));
        }
        // A stack instead of recursion: chains may be long.
        let mut open = vec![(index, 0, String::new())];
        while let Some((index, depth, port)) = open.pop() {
            self.add_stage(index, depth, &port)?;
            if self.described.insert(index) {
                let node = self.node(index);
                let links = node
                    .inputs
                    .iter()
                    .flat_map(|(port, links)| links.iter().map(move |link| (port, link)));
                let next = links.map(|(port, link)| (link.from, depth + 1, self.input_text(port, link)));
                let mut next: Vec<_> = next.collect();
                next.reverse();
                open.extend(next);
            }
        }
        Ok(())
    }

    /// Adds the lines of a stage, below the stage that reads its output.
    fn add_stage(&mut self, index: NodeIndex, depth: usize, port: &str) -> Result<(), StoreError> {
        let indent = "  ".repeat(depth);
        let node = self.node(index);
        if self.described.contains(&index) {
            self.text += &format!("{indent}{port}{} (above)\n", node.name);
            return Ok(());
        }
        let record = self.record(index)?;
        let summary = match &record {
            Some(record) => record_summary(record),
            None => self.plan.entries[index.index()]
                .reason
                .as_ref()
                .map_or_else(|| "not in the store".to_owned(), |reason| format!("not in the store ({reason})")),
        };
        let line = format!("{indent}{port}{}: {}, {summary}", node.name, node.kind.name);
        self.text += &format!("{}\n", printable(&line));
        let params = param_lines(&node.canonical);
        let seed = node.seed.map(|seed| format!("seed = {seed}"));
        let files = record.iter().flat_map(|record| &record.fingerprint.files);
        let files = files.map(|(name, digest)| format!("{name} {}", digest.short()));
        let values: Vec<String> = seed.into_iter().chain(params).chain(files).collect();
        if !values.is_empty() {
            self.text += &format!("{indent}    {}\n", printable(&values.join(", ")));
        }
        Ok(())
    }

    /// `data 3c4d5e6f7a8b ← `
    fn input_text(&self, port: &str, link: &Link) -> String {
        let artifact = self.plan.entries[link.from.index()].outputs.get(link.port.as_ref());
        let digest = artifact.map_or_else(|| "not known yet".to_owned(), |artifact| artifact.digest.short());
        let from = if self.node(link.from).kind.outputs.len() > 1 {
            format!("{} of ", link.port)
        } else {
            String::new()
        };
        format!("{port} {digest} ← {from}")
    }

    /// The stage with everything that it was made from, each stage once.
    fn as_json(&self, index: NodeIndex) -> Result<Value, StoreError> {
        let mut stages = Vec::new();
        let (mut open, mut seen) = (vec![index], BTreeSet::from([index]));
        while let Some(index) = open.pop() {
            let node = self.node(index);
            let mut inputs = Vec::new();
            for (port, links) in &node.inputs {
                for link in links {
                    let digest = self.plan.entries[link.from.index()]
                        .outputs
                        .get(link.port.as_ref())
                        .map(|artifact| artifact.digest);
                    let from = &self.node(link.from).name;
                    inputs.push(json!({"port": port, "stage": from.name, "variant": from.variant, "output": link.port, "digest": digest}));
                    if seen.insert(link.from) {
                        open.push(link.from);
                    }
                }
            }
            stages.push(json!({
                "stage": node.name.name, "variant": node.name.variant, "kind": node.kind.name, "seed": node.seed,
                "params": node.canonical, "inputs": inputs, "key": self.plan.entries[index.index()].key, "record": self.record(index)?,
            }));
        }
        Ok(Value::Array(stages))
    }

    fn record(&self, index: NodeIndex) -> Result<Option<Record>, StoreError> {
        let entry = &self.plan.entries[index.index()];
        let key = entry.key.filter(|_| entry.state == StageState::Hit);
        key.map_or(Ok(None), |key| self.store.record(&key))
    }

    fn node(&self, index: NodeIndex) -> &'a Node {
        &self.plan.dag.graph[index]
    }
}

/// `41.2s on node3, 2026-11-24 13:50:12 UTC by ada, runner 0.1.0, key 1a2b3c4d5e6f`
fn record_summary(record: &Record) -> String {
    let key = record.fingerprint.key().short();
    format!(
        "{} on {}, {}; {}; key {key}",
        duration(record.seconds),
        record.machine.host,
        time_and_user(record),
        program_and_commit(record)
    )
}

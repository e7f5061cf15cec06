//! `runner why`: from a number in the report back through stages, params and data to the sources.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;
use serde_json::{Map, Value, json};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::show::record;
use super::{CliError, Exit, Session};
use lab::config::known;
use lab::plan::{Node, Plan, State};
use lab::plan::{Selection, matches};
use lab::stage::PortType;
use lab::store::{Record, Store, StoreError};
use lab::text::duration;
use report::gather::collect;

/// Walk from a number in the report, or from a stage, back to the params and data behind it
#[derive(Clone, Debug, clap::Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// A metric (`accuracy`, `following.consistency`) or a stage (`score[2]`)
    #[arg(value_name = "METRIC|STAGE")]
    pub what: String,

    /// Only variants with this coordinate; may be given several times
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the way back.
///
/// # Errors
/// When nothing has that name, or the store cannot be read.
pub fn why(args: &WhyArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let is_stage = session.dag.graph.node_weights().any(|node| matches(&args.what, &node.name.name));
    let selection = Selection {
        stages: if is_stage { vec![args.what.clone()] } else { Vec::new() },
        variants: args.variants.clone(),
    };
    let targets = selection.targets(&session.dag)?;
    let (plan, store) = session.plan(&selection)?;
    let mut walk = Walk {
        plan: &plan,
        store: &store,
        told: BTreeSet::new(),
        text: String::new(),
    };
    let (mut chains, mut names) = (Vec::new(), BTreeSet::new());
    for index in plan.order.iter().copied().filter(|index| targets.contains(index)) {
        let numbers = numbers(&plan, &store, index)?;
        names.extend(numbers.iter().map(|number| number.metric.clone()));
        let numbers: Vec<Number> = numbers
            .into_iter()
            .filter(|number| is_stage || number.metric == args.what)
            .collect();
        if is_stage || !numbers.is_empty() {
            walk.from(index, &numbers)?;
            chains.push(json!({"numbers": numbers.iter().map(Number::as_json).collect::<Vec<_>>(), "stages": walk.as_json(index)?}));
        }
    }
    if chains.is_empty() {
        let known = if names.is_empty() {
            "no stage has scores yet".to_owned()
        } else {
            known(names.iter().map(String::as_str))
        };
        return Err(CliError::NothingSelected(format!("no stage or metric `{}` ({known})", args.what)));
    }
    if args.json {
        super::print_json(&json!({"experiment": plan.dag.experiment, "chains": chains}))
    } else {
        super::print(&walk.text)
    }
}

/// A number of a stage's metrics.
struct Number {
    data: String,
    metric: String,
    value: Value,
}

impl Number {
    fn as_json(&self) -> Value {
        json!({"data": self.data, "metric": self.metric, "value": self.value})
    }
}

/// All numbers that a stage in the store has measured.
fn numbers(plan: &Plan, store: &Store, index: NodeIndex) -> Result<Vec<Number>, StoreError> {
    let (node, entry) = (&plan.dag.graph[index], &plan.entries[index.index()]);
    let port = node.kind.outputs.iter().find(|output| output.port == PortType::Metrics);
    let Some(artifact) = port.and_then(|port| entry.outputs.get(port.name.as_ref())) else {
        return Ok(Vec::new());
    };
    if entry.state != State::Hit {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    let sets = collect::metrics(&store.object(&artifact.digest))?;
    for (data, metrics) in collect::data_sets(&plan.dag, node).iter().zip(&sets) {
        flatten(data, "", metrics, &mut numbers);
    }
    Ok(numbers)
}

fn flatten(data: &str, path: &str, metrics: &Map<String, Value>, numbers: &mut Vec<Number>) {
    for (name, value) in metrics {
        let metric = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(inner) => flatten(data, &metric, inner, numbers),
            Value::Number(_) => numbers.push(Number {
                data: data.to_owned(),
                metric,
                value: value.clone(),
            }),
            _ => {}
        }
    }
}

/// The way back; a stage that was told of is not told of again.
struct Walk<'a> {
    plan: &'a Plan,
    store: &'a Store,
    told: BTreeSet<NodeIndex>,
    text: String,
}

impl<'a> Walk<'a> {
    fn from(&mut self, index: NodeIndex, numbers: &[Number]) -> Result<(), StoreError> {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        for Number { data, metric, value } in numbers {
            self.text += &format!("{metric} = {value} on {data}\n");
        }
        // A stack and not a recursion: chains may be as long as an experiment likes.
        let mut open = vec![(index, 0, String::new())];
        while let Some((index, depth, port)) = open.pop() {
            self.stage(index, depth, &port)?;
            if self.told.insert(index) {
                let node = self.node(index);
                let links = node
                    .inputs
                    .iter()
                    .flat_map(|(port, links)| links.iter().map(move |link| (port, link)));
                let next = links.map(|(port, link)| (link.from, depth + 1, self.input(port, link)));
                let mut next: Vec<_> = next.collect();
                next.reverse();
                open.extend(next);
            }
        }
        Ok(())
    }

    /// The lines of a stage, below those of the stage that it gave something.
    fn stage(&mut self, index: NodeIndex, depth: usize, port: &str) -> Result<(), StoreError> {
        let indent = "  ".repeat(depth);
        let node = self.node(index);
        if self.told.contains(&index) {
            self.text += &format!("{indent}{port}{} (above)\n", node.name);
            return Ok(());
        }
        let record = self.record(index)?;
        let about = match &record {
            Some(record) => about(record),
            None => self.plan.entries[index.index()]
                .reason
                .as_ref()
                .map_or_else(|| "not in the store".to_owned(), |reason| format!("not in the store ({reason})")),
        };
        self.text += &format!("{indent}{port}{}: {}, {about}\n", node.name, node.kind.name);
        let params = record::params(&node.canonical);
        let seed = node.seed.map(|seed| format!("seed = {seed}"));
        let files = record.iter().flat_map(|record| &record.fingerprint.files);
        let files = files.map(|(name, digest)| format!("{name} {}", digest.short()));
        let values: Vec<String> = seed.into_iter().chain(params).chain(files).collect();
        if !values.is_empty() {
            self.text += &format!("{indent}    {}\n", values.join(", "));
        }
        Ok(())
    }

    /// `data 3c4d5e6f7a8b ← `
    fn input(&self, port: &str, link: &lab::plan::Link) -> String {
        let artifact = self.plan.entries[link.from.index()].outputs.get(link.port.as_ref());
        let digest = artifact.map_or_else(|| "not known yet".to_owned(), |artifact| artifact.digest.short());
        let from = if self.node(link.from).kind.outputs.len() > 1 {
            format!("{} of ", link.port)
        } else {
            String::new()
        };
        format!("{port} {digest} ← {from}")
    }

    /// The stage with all that it came from; a stage that is needed twice stands in one place, by its name in the others.
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
        let key = entry.key.filter(|_| entry.state == State::Hit);
        key.map_or(Ok(None), |key| self.store.record(&key))
    }

    fn node(&self, index: NodeIndex) -> &'a Node {
        &self.plan.dag.graph[index]
    }
}

/// `41.2s on node3, 2026-11-24 13:50:12 UTC by ada, runner 0.1.0, key 1a2b3c4d5e6f`
fn about(record: &Record) -> String {
    let key = record.fingerprint.key().short();
    format!(
        "{} on {}, {}; {}; key {key}",
        duration(record.seconds),
        record.machine.host,
        record::made(record),
        record::program(record)
    )
}

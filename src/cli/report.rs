//! `runner report`: the scores of an experiment.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::selection::Selection;
use super::{Exit, Failed, Session};
use crate::hash::Digest;
use crate::plan::{Dag, Entry, Link, Node, Plan, State};
use crate::report::Paint;
use crate::report::scores::{Score, Scores};
use crate::stage::PortType;
use crate::store::{Store, StoreError};

/// Print the scores of the evaluations that are in the store
#[derive(Clone, Debug, clap::Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: Selection,

    /// Print JSON, a row for each variant, evaluation and data set
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,

    /// Print comma-separated values, rows as with `--json`
    #[arg(long)]
    pub csv: bool,
}

/// Prints the scores.
///
/// # Errors
/// When the experiment is wrong, or the store is damaged.
pub fn report(args: &ReportArgs, paint: Paint) -> Result<Exit, Failed> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    let Some((plan, store)) = session.plan(&args.selection)? else {
        return Ok(Exit::NothingSelected);
    };
    let scores = collect(&plan, &store, &args.selection)?;
    if scores.scores.is_empty() {
        return Err(Failed::Usage(format!(
            "no stage of `{}` that is selected gives metrics (kinds `eval` and `measure`)",
            plan.dag.experiment
        )));
    }
    if args.json {
        return super::print_json(&scores.json());
    }
    if args.csv {
        return super::print(&scores.csv());
    }
    let note = scores.note().map_or_else(String::new, |note| {
        format!("\n{note}: runner run {}\n", args.experiment.file.display())
    });
    super::print(&format!("{}{note}", scores.table(paint)))
}

/// The scores of all selected evaluations, in the order of the plan.
fn collect(plan: &Plan, store: &Store, selection: &Selection) -> Result<Scores, StoreError> {
    let mut scores = Vec::new();
    for (index, node, entry) in plan.stages() {
        let Some(port) = node.kind.outputs.iter().find(|output| output.port == PortType::Metrics) else {
            continue;
        };
        let names = data_sets(&plan.dag, node);
        let mut sets = metrics(entry, port.name, store)?;
        sets.resize(names.len(), None);
        for member in node.members.iter().filter(|member| selection.fits(member)) {
            scores.extend(names.iter().zip(&sets).map(|(name, metrics)| Score {
                stage: member.name.clone(),
                variant: member.variant.clone(),
                iteration: iteration(&member.name),
                data: name.clone(),
                source: index.index(),
                metrics: metrics.clone(),
            }));
        }
    }
    Ok(Scores {
        experiment: plan.dag.experiment.clone(),
        scores,
    })
}

/// The index in a stage's name.
fn iteration(name: &str) -> Option<i64> {
    name.split_once('[')?.1.strip_suffix(']')?.parse().ok()
}

/// The names of the data sets that an evaluation is about: by port where that tells them apart, else by stage, else by both.
fn data_sets(dag: &Dag, node: &Node) -> Vec<String> {
    let links: Vec<&Link> = data_links(dag, node);
    let short: Vec<String> = links.iter().map(|link| short_name(dag, link)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    short.iter().for_each(|name| *counts.entry(name).or_default() += 1);
    let name = |(link, name): (&&Link, &String)| match counts.get(name.as_str()) {
        Some(1) => name.clone(),
        _ => format!("{}.{}", stage_name(dag, link.from), link.port),
    };
    links.iter().zip(&short).map(name).collect()
}

/// Where the data sets come from; for answers, those that they answer.
fn data_links<'a>(dag: &'a Dag, node: &'a Node) -> Vec<&'a Link> {
    let mut links = Vec::new();
    for input in node.kind.inputs {
        for link in node.inputs.get(input.name).into_iter().flatten() {
            match (input.port, dag.graph.node_weight(link.from)) {
                (PortType::Dataset, _) => links.push(link),
                (PortType::Answers, Some(asked)) => links.extend(data_links(dag, asked)),
                _ => {}
            }
        }
    }
    links
}

fn short_name(dag: &Dag, link: &Link) -> String {
    match dag.graph.node_weight(link.from) {
        Some(from) if from.kind.outputs.len() > 1 => link.port.to_owned(),
        _ => stage_name(dag, link.from).to_owned(),
    }
}

fn stage_name(dag: &Dag, index: NodeIndex) -> &str {
    dag.graph.node_weight(index).map_or("", |node| &node.name.name)
}

/// What `metrics.json` is read as: the metrics themselves are passed on as they are.
#[derive(Deserialize)]
struct Sets {
    sets: Vec<Map<String, Value>>,
}

/// The metrics of each data set; none if the evaluation is not in the store.
fn metrics(entry: &Entry, port: &str, store: &Store) -> Result<Vec<Option<Map<String, Value>>>, StoreError> {
    let artifact = entry.outputs.get(port).filter(|_| entry.state == State::Hit);
    let Some(artifact) = artifact else { return Ok(Vec::new()) };
    Ok(read(store, &artifact.digest)?.sets.into_iter().map(Some).collect())
}

fn read(store: &Store, digest: &Digest) -> Result<Sets, StoreError> {
    let path = store.object(digest).join("metrics.json");
    let damaged = |problem: String| StoreError::Damaged {
        path: path.clone(),
        problem,
    };
    let text = std::fs::read(&path).map_err(|error| damaged(format!("cannot be read: {error}")))?;
    serde_json::from_slice(&text).map_err(|error| damaged(format!("is not what `eval` writes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::example;

    #[test]
    fn an_index_is_an_iteration() {
        assert_eq!(["score[12]", "score", "score[x]"].map(iteration), [Some(12), None, None]);
    }

    #[test]
    fn scores_come_from_the_store_and_those_to_come_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let object = store.object(&example::metrics());
        std::fs::create_dir_all(&object).unwrap();
        let sets = r#"{"sets": [{"accuracy": 0.998, "average_steps": 2.5, "average_full_steps": 2.61},
                                {"accuracy": 0.25, "average_steps": 5.0, "average_full_steps": 5.5}]}"#;
        std::fs::write(object.join("metrics.json"), sets).unwrap();
        let scores = collect(&example::plan(), &store, &Selection::default()).unwrap();
        insta::assert_snapshot!(scores.table(Paint::default()), @r"
        stage     n  in_domain %  steps  full  ood_easy %  steps  full
        score[0]  1         99.8   2.50  2.61        25.0   5.00  5.50
        ");
        assert_eq!(scores.note().as_deref(), Some("1 of 2 stages with scores not run yet"));
    }

    #[test]
    fn metrics_that_are_not_metrics_are_a_damaged_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let object = store.object(&example::metrics());
        std::fs::create_dir_all(&object).unwrap();
        std::fs::write(object.join("metrics.json"), "{}").unwrap();
        let error = collect(&example::plan(), &store, &Selection::default()).unwrap_err().to_string();
        assert!(
            error.starts_with("the store is damaged: ") && error.contains("missing field `sets`"),
            "{error}"
        );
    }
}

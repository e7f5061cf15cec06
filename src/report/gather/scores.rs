//! Reads the scores of the evaluations from plan and store.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use super::answers;
use super::phase::Phases;
use crate::scores::{JudgedAnswer, Score, Scores, StagePlace};
use kinds::artifact;
use kinds::metrics::MetricMap;
use lab::config::name_index;
use lab::event::StageName;
use lab::plan::Selection;
use lab::plan::{Dag, Link, Node, Plan, PlanEntry, StageState};
use lab::stage::PortType;
use lab::store::{Store, StoreError};
use petgraph::graph::NodeIndex;

/// The scores of all selected evaluations, in the order of the plan; with `with_answers` also the answers behind them.
///
/// # Errors
/// When the store is damaged.
pub fn scores(plan: &Plan, store: &Store, selection: &Selection, with_answers: bool) -> Result<Scores, StoreError> {
    let phases = Phases::in_plan(plan);
    let mut scores = Vec::new();
    for (index, node, entry) in plan.stages() {
        let Some(folder) = metrics_folder(node, entry, store) else {
            continue;
        };
        let names = data_sets(&plan.dag, node);
        let sets = folder.as_deref().map_or_else(|| Ok(Vec::new()), metrics)?;
        let mut sets: Vec<Option<_>> = sets.into_iter().map(Some).collect();
        sets.resize(names.len(), None);
        let mut answered = Vec::new();
        for (place, metrics) in sets.iter().enumerate() {
            let folder = folder.as_deref().filter(|_| with_answers && metrics.is_some());
            answered.push(folder.map_or_else(|| Ok(Vec::new().into()), |folder| judged_answers(folder, place))?);
        }
        for member in node.members.iter().filter(|member| selection.fits(member)) {
            for ((name, metrics), answers) in names.iter().zip(&sets).zip(&answered) {
                scores.push(Score {
                    place: stage_place(&phases, index, member),
                    data: name.clone(),
                    metrics: metrics.clone(),
                    answers: Rc::clone(answers),
                    examples: Rc::default(),
                    series: Rc::default(),
                });
            }
        }
    }
    Ok(Scores {
        experiment: plan.dag.experiment.clone(),
        axes: Vec::new(),
        scores,
    })
}

/// The stage of one variant with its phase.
pub(super) fn stage_place(phases: &Phases, index: NodeIndex, member: &StageName) -> StagePlace {
    let iteration = name_index(&member.name);
    StagePlace {
        stage: member.name.clone(),
        variant: member.variant.clone(),
        iteration,
        phase: phases.phase_name(index, &member.name, iteration),
        node: index.index(),
    }
}

/// The folder of a stage's metrics. `None` if the kind has no metrics, `Some(None)` if they are not in the store.
#[expect(
    clippy::option_option,
    reason = "a stage without metrics differs from one whose metrics are not in the store"
)]
fn metrics_folder(node: &Node, entry: &PlanEntry, store: &Store) -> Option<Option<std::path::PathBuf>> {
    let port = node.outputs.iter().find(|output| output.port == PortType::Metrics)?;
    let artifact = entry.outputs.get(port.name.as_ref()).filter(|_| entry.state == StageState::Hit);
    Some(artifact.map(|artifact| store.object(&artifact.digest)))
}

fn judged_answers(folder: &Path, place: usize) -> Result<Rc<[JudgedAnswer]>, StoreError> {
    let mut judged = Vec::new();
    answers::read_judged(&artifact::metrics::answers_path(folder, place), |answer, outcome| {
        let problem = answers::problem_digest(&answer.problem);
        judged.push(JudgedAnswer { problem, outcome });
    })?;
    Ok(judged.into())
}

/// The names of the data sets of an evaluation: the port or the stage if it is unique, else both.
pub fn data_sets(dag: &Dag, node: &Node) -> Vec<String> {
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

/// The links to the data sets; for answers, to the data sets whose problems they answer.
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
        Some(from) if from.outputs.len() > 1 => link.port.to_string(),
        _ => stage_name(dag, link.from).to_owned(),
    }
}

fn stage_name(dag: &Dag, index: NodeIndex) -> &str {
    dag.graph.node_weight(index).map_or("", |node| &node.name.name)
}

/// The metrics of each data set.
///
/// # Errors
/// When they cannot be read: the store is damaged.
pub fn metrics(folder: &Path) -> Result<Vec<MetricMap>, StoreError> {
    artifact::metrics::read(folder).map_err(|error| StoreError::Damaged {
        path: folder.to_owned(),
        problem: format!("is not what `eval` or `measure` writes: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use lab::text::Paint;

    /// The example's store, with this as the metrics of its evaluation.
    fn store(folder: &Path, metrics: &str) -> Store {
        let store = Store::open(folder).unwrap();
        let object = store.object(&example::metrics());
        std::fs::create_dir_all(&object).unwrap();
        std::fs::write(object.join("metrics.json"), metrics).unwrap();
        store
    }

    #[test]
    fn scores_come_from_the_store_and_those_to_come_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let sets = r#"{"sets": [{"accuracy": 0.998, "average_steps": 2.5, "average_full_steps": 2.61},
                                {"accuracy": 0.25, "average_steps": 5.0, "average_full_steps": 5.5}]}"#;
        let store = store(folder.path(), sets);
        let scores = scores(&example::plan(), &store, &Selection::default(), false).unwrap();
        insta::assert_snapshot!(scores.main_table().text(Paint::default()), @r"
        stage           n  in_domain %  steps  ood_easy %  steps
        full solutions                   2.61               5.50
        score[0]        1         99.8   2.50        25.0   5.00
        ");
        assert_eq!(scores.note().as_deref(), Some("1 of 2 stages with scores not run yet"));
    }

    #[test]
    fn metrics_that_are_not_metrics_are_a_damaged_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "{}");
        let error = scores(&example::plan(), &store, &Selection::default(), false)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the store is damaged: ") && error.contains("missing field `sets`"),
            "{error}"
        );
    }

    #[test]
    fn answers_that_are_gone_are_a_damaged_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), r#"{"sets": [{"accuracy": 1.0}, {"accuracy": 1.0}]}"#);
        let error = scores(&example::plan(), &store, &Selection::default(), true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("answers-0.jsonl"), "{error}");
    }
}

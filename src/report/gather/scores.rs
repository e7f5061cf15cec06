//! Reads the scores of the evaluations from plan and store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::answers;
use super::phase::Phases;
use crate::scores::{JudgedAnswer, Score, Scores, StagePlace};
use kinds::artifact::metrics::{Example, Metrics, Series};
use kinds::artifact::{self, ArtifactError};
use kinds::metrics::MetricMap;
use lab::config::name_index;
use lab::event::StageName;
use lab::plan::Selection;
use lab::plan::{Dag, Link, Node, Plan, PlanEntry, StageState};
use lab::stage::{Output, PortType};
use lab::store::{Store, StoreError};
use petgraph::graph::NodeIndex;

/// The inputs that nobody is asked about: solved examples, and what a model says of the answers to the others.
const BESIDE: [&str; 2] = ["fewshot", "grades"];

/// The kind of stages that choose rows.
const SELECT: &str = "select";

/// The file of metrics that gc keeps of what it deletes.
const METRICS: &str = "metrics.json";

/// What scores have besides the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScoreDetails {
    /// The answers and the examples that the metrics were measured on.
    pub answers: bool,
    /// The metrics by step.
    pub series: bool,
}

/// The scores of all selected stages that give metrics, in the order of the plan.
///
/// # Errors
/// When the store is damaged.
pub fn scores(plan: &Plan, store: &Store, selection: &Selection, details: ScoreDetails) -> Result<Scores, StoreError> {
    let phases = Phases::in_plan(plan);
    let mut scores = Vec::new();
    for (index, node, entry) in plan.stages() {
        let mut measured = Vec::new();
        for output in metrics_outputs(node) {
            let found = measured_at(plan, store, (node, entry), output)?;
            for (place, set) in found.sets.into_iter().enumerate() {
                let folder = found.folder.as_deref().filter(|_| set.metrics.is_some() && found.is_whole);
                let behind = folder.map_or_else(
                    || Ok(Behind::default()),
                    |folder| Behind::read(folder, place, found.is_judged, details),
                )?;
                measured.push((set, behind));
            }
        }
        for member in node.members.iter().filter(|member| selection.fits(member)) {
            for (set, behind) in &measured {
                scores.push(Score {
                    place: stage_place(&phases, index, member),
                    data: set.data.clone(),
                    metrics: set.metrics.clone(),
                    answers: Rc::clone(&behind.answers),
                    examples: Rc::clone(&behind.examples),
                    series: Rc::clone(&behind.series),
                });
            }
        }
    }
    Ok(Scores {
        experiment: plan.dag.experiment.clone(),
        axes: plan.dag.axes.clone(),
        scores,
    })
}

/// What the metrics on one data set were measured on, and how they came to be.
#[derive(Clone, Default)]
struct Behind {
    answers: Rc<[JudgedAnswer]>,
    examples: Rc<[Example]>,
    series: Rc<[Series]>,
}

impl Behind {
    /// Reads it from an artifact, for the data set at this place; with `is_judged`, there are answers.
    fn read(folder: &Path, place: usize, is_judged: bool, details: ScoreDetails) -> Result<Self, StoreError> {
        let mut behind = Self::default();
        if details.answers && is_judged {
            behind.answers = judged_answers(folder, place)?;
        }
        if details.answers && !is_judged {
            let mut examples = Vec::new();
            // The fields are for people, and may take much memory.
            let read = artifact::metrics::each_example(folder, place, &mut |example| {
                examples.push(Example {
                    fields: serde_json::Map::new(),
                    ..example
                });
            });
            read.map_err(|error| damaged(folder, &error))?;
            behind.examples = examples.into();
        }
        if details.series && place == 0 {
            behind.series = artifact::metrics::read_series(folder)
                .map_err(|error| damaged(folder, &error))?
                .into();
        }
        Ok(behind)
    }
}

/// The metrics of a stage on one data set.
pub struct MeasuredSet {
    /// The name of the data set; that of the output for a program with several outputs of metrics, and else empty.
    pub data: String,
    /// `None` if they are not in the store.
    pub metrics: Option<MetricMap>,
}

/// The metrics of a stage on each data set.
///
/// # Errors
/// When they cannot be read: the store is damaged.
pub fn measured(plan: &Plan, store: &Store, index: NodeIndex) -> Result<Vec<MeasuredSet>, StoreError> {
    let (Some(node), Some(entry)) = (plan.dag.graph.node_weight(index), plan.entries.get(index.index())) else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for output in metrics_outputs(node) {
        all.extend(measured_at(plan, store, (node, entry), output)?.sets);
    }
    Ok(all)
}

/// What an output of metrics has.
struct MeasuredOutput {
    /// `None` if it is not in the store.
    folder: Option<PathBuf>,
    /// Whether it has what the metrics were measured on: gc may have deleted that.
    is_whole: bool,
    /// Whether it has the answers to each data set.
    is_judged: bool,
    sets: Vec<MeasuredSet>,
}

/// Whether the metrics are not about answers to problems: those of a user's program, which has data sets that nobody else knows, and those of
/// `select`, which counts what it dropped.
pub(super) fn is_program(node: &Node) -> bool {
    node.kind.free || node.kind.name == SELECT
}

/// The stages whose metrics are those of programs, and not about answers to problems.
pub(crate) fn programs(plan: &Plan) -> BTreeSet<usize> {
    let of_programs = plan
        .stages()
        .filter(|(_, node, _)| is_program(node) && metrics_outputs(node).next().is_some());
    of_programs.map(|(index, _, _)| index.index()).collect()
}

pub(super) fn metrics_outputs(node: &Node) -> impl Iterator<Item = &Output> {
    node.outputs.iter().filter(|output| output.port == PortType::Metrics)
}

/// The name of a program's output of metrics, if it has several.
fn program_data(node: &Node, output: &Output) -> String {
    if metrics_outputs(node).count() > 1 {
        output.name.to_string()
    } else {
        String::new()
    }
}

fn measured_at(plan: &Plan, store: &Store, (node, entry): (&Node, &PlanEntry), output: &Output) -> Result<MeasuredOutput, StoreError> {
    let artifact = entry.outputs.get(output.name.as_ref()).filter(|_| entry.state == StageState::Hit);
    let is_whole = !entry.deleted.contains(output.name.as_ref());
    let folder = artifact.and_then(|artifact| {
        if is_whole {
            Some(store.object(&artifact.digest))
        } else {
            // The metrics are kept.
            store.kept(&artifact.digest).filter(|folder| folder.join(METRICS).is_file())
        }
    });
    let found = folder.as_deref().map(read_metrics).transpose()?;
    let sets = if is_program(node) {
        let data = program_data(node, output);
        let patterns = node.stage.selected_metrics(&output.name);
        program_sets(&data, found, patterns)
    } else {
        let mut metrics: Vec<Option<MetricMap>> = found.map_or_else(Vec::new, |found| found.into_sets().into_iter().map(Some).collect());
        let names = data_sets(&plan.dag, node);
        metrics.resize(names.len(), None);
        let named = names.into_iter().zip(metrics);
        named.map(|(data, metrics)| MeasuredSet { data, metrics }).collect()
    };
    Ok(MeasuredOutput {
        folder,
        is_whole,
        is_judged: !is_program(node),
        sets,
    })
}

/// The metrics of a program: as one, or on each of the data sets that it has numbered.
fn program_sets(data: &str, found: Option<Metrics>, patterns: &[String]) -> Vec<MeasuredSet> {
    let set = |data: String, metrics: Option<MetricMap>| MeasuredSet {
        data,
        metrics: metrics.map(|metrics| if patterns.is_empty() { metrics } else { metrics.selected(patterns) }),
    };
    let Some(sets) = found.map(Metrics::into_sets) else {
        return vec![set(data.to_owned(), None)];
    };
    if sets.len() < 2 {
        return vec![set(data.to_owned(), Some(sets.into_iter().next().unwrap_or_default()))];
    }
    let numbered = |(place, metrics)| set(numbered_name(data, place), Some(metrics));
    sets.into_iter().enumerate().map(numbered).collect()
}

/// The names of the data sets that a program's metrics are about.
pub(super) fn program_names(node: &Node, output: &Output, folder: &Path) -> Result<Vec<String>, StoreError> {
    let sets = program_sets(&program_data(node, output), Some(read_metrics(folder)?), &[]);
    Ok(sets.into_iter().map(|set| set.data).collect())
}

/// The name of one of a program's data sets: `1`, or `scores.1` where the program has several outputs of metrics.
fn numbered_name(data: &str, place: usize) -> String {
    if data.is_empty() {
        place.to_string()
    } else {
        format!("{data}.{place}")
    }
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
    for input in node.kind.inputs.iter().filter(|input| !BESIDE.contains(&input.name)) {
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

/// The metrics of an artifact.
///
/// # Errors
/// When they cannot be read: the store is damaged.
pub fn read_metrics(folder: &Path) -> Result<Metrics, StoreError> {
    artifact::metrics::read_metrics(folder).map_err(|error| damaged(folder, &error))
}

/// The error for an artifact of metrics that cannot be read.
pub(super) fn damaged(folder: &Path, error: &ArtifactError) -> StoreError {
    StoreError::Damaged {
        path: folder.to_owned(),
        problem: format!("has metrics that cannot be read: {error}"),
    }
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
        let scores = scores(&example::plan(), &store, &Selection::default(), ScoreDetails::default()).unwrap();
        insta::assert_snapshot!(scores.main_table().text(Paint::default()), @r"
        stage           n  in_domain %  steps  ood_easy %  steps
        full solutions                   2.61               5.50
        score[0]        1         99.8   2.50        25.0   5.00
        ");
        assert_eq!(scores.note().as_deref(), Some("1 of 2 stages with scores missing"));
    }

    #[test]
    fn metrics_that_are_not_metrics_are_a_damaged_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), "{}");
        let error = scores(&example::plan(), &store, &Selection::default(), ScoreDetails::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("the store is damaged: ") && error.contains("metrics are numbers"),
            "{error}"
        );
    }

    #[test]
    fn answers_that_are_gone_are_a_damaged_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), r#"{"sets": [{"accuracy": 1.0}, {"accuracy": 1.0}]}"#);
        let answers = ScoreDetails {
            answers: true,
            series: false,
        };
        let error = scores(&example::plan(), &store, &Selection::default(), answers)
            .unwrap_err()
            .to_string();
        assert!(error.contains("answers-0.jsonl"), "{error}");
    }
}

//! Test questions that a model was trained on: they make scores say too much.
//!
//! The graph knows which data a model was trained on and which it is tested on, so nobody need ask for this. No key and no artifact has it.
//! What a model is tested on are the data sets whose answers a `measure` judges, and those that `decontaminate` names on the way to its
//! training. Data whose answers a `filter` makes rows of are no test: a model that learns from its own answers is asked what it was trained
//! on. Nobody knows what a model that was imported has read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use kinds::{KnownQuestions, Overlap, TestSet, overlaps};
use lab::hash::Digest;
use lab::plan::{Dag, Link, Node, Plan, StageState};
use lab::stage::PortType;
use lab::store::Store;
use lab::text::shortened;
use petgraph::graph::NodeIndex;
use serde::Serialize;

/// The kinds of stages that judge answers, and that make rows of them.
const MEASURE: &str = "measure";
const FILTER: &str = "filter";

/// The inputs with data that a model learns no question of: a tokenizer's texts, solved examples, the rows of a held-out loss.
const UNLEARNED: [&str; 3] = ["vocabulary", "fewshot", "validation"];

/// The inputs by name.
const ANSWERS: &str = "answers";
const MODEL: &str = "model";
const DATA: &str = "data";
const DECONTAMINATE: &str = "decontaminate";

/// Characters of a question in a message.
const MAX_QUESTION: usize = 60;

/// Questions of a test set that are in the training data of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contamination {
    /// The test set, as references name it: `cases.test`.
    pub test: String,
    /// The stage whose model was trained on most of its questions.
    pub model: String,
    /// How many other models were trained on some.
    pub more_models: usize,
    #[serde(flatten)]
    pub known: KnownQuestions,
}

/// What a model is tested on.
struct Tested<'d> {
    /// The stage that trained the model.
    model: NodeIndex,
    test: &'d Link,
}

/// The content of an artifact, where it is there by now.
pub type ArtifactAt<'a> = dyn Fn(&Link) -> Option<Digest> + 'a;

/// The contamination of all models in a plan whose scores are in the store. Nothing is said of data that are not there, or that cannot be
/// read: whoever uses them finds that out.
pub fn contamination(plan: &Plan, store: &Store) -> Vec<Contamination> {
    let at = |link: &Link| plan.artifact(link).map(|artifact| artifact.digest);
    let measured = plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
    contamination_of(&plan.dag, store, &measured.map(|(index, _, _)| index).collect(), &at)
}

/// The same for the stages `measured` alone, the others of the graph left aside.
pub fn contamination_of(dag: &Dag, store: &Store, measured: &BTreeSet<NodeIndex>, at: &ArtifactAt<'_>) -> Vec<Contamination> {
    let path = |link: &Link| {
        let digest = at(link)?;
        let path = store.object(&digest);
        path.is_file().then_some((digest, path))
    };
    let mut checks = Checks::default();
    let mut trainings: BTreeMap<NodeIndex, Option<BTreeMap<Digest, PathBuf>>> = BTreeMap::new();
    for tested in measured.iter().flat_map(|index| tested(dag, *index)) {
        let Some(test) = path(tested.test) else { continue };
        let files = || training(dag, tested.model).into_iter().map(path).collect();
        let training = trainings.entry(tested.model).or_insert_with(files);
        // A part of the training data may have gone from the store; then nothing is said of it.
        let Some(training) = training.as_ref().filter(|training| !training.is_empty()) else {
            continue;
        };
        checks.add(tested.model, reference(dag, tested.test), test, training);
    }
    checks.run(dag)
}

/// What is compared with what: each content once, however many stages have it.
#[derive(Default)]
struct Checks {
    tests: BTreeMap<Digest, (String, PathBuf)>,
    /// The files of training data, and the tests that models which learned them are given.
    files: BTreeMap<Digest, (PathBuf, BTreeSet<Digest>)>,
    /// By the files, the model that learned them first, and the tests.
    trainings: BTreeMap<Vec<Digest>, (NodeIndex, BTreeSet<Digest>)>,
}

impl Checks {
    fn add(&mut self, model: NodeIndex, name: String, (test, path): (Digest, PathBuf), training: &BTreeMap<Digest, PathBuf>) {
        self.tests.entry(test).or_insert((name, path));
        for (digest, path) in training {
            let (_, tests) = self.files.entry(*digest).or_insert_with(|| (path.clone(), BTreeSet::new()));
            tests.insert(test);
        }
        let digests = training.keys().copied().collect();
        let (_, tests) = self.trainings.entry(digests).or_insert((model, BTreeSet::new()));
        tests.insert(test);
    }

    fn run(self, dag: &Dag) -> Vec<Contamination> {
        let read = |(digest, (_, path)): (&Digest, &(String, PathBuf))| Some((*digest, TestSet::read(path).ok()?));
        let sets: BTreeMap<Digest, TestSet> = self.tests.iter().filter_map(read).collect();
        // By file and test; none of a file that cannot be read.
        let mut overlap: BTreeMap<(Digest, Digest), Overlap> = BTreeMap::new();
        for (file, (path, tests)) in &self.files {
            let (digests, own): (Vec<Digest>, Vec<&TestSet>) = tests.iter().filter_map(|test| Some((*test, sets.get(test)?))).unzip();
            let found = overlaps(path, &own).unwrap_or_default();
            overlap.extend(digests.into_iter().map(|test| (*file, test)).zip(found));
        }
        let mut found: BTreeMap<Digest, Contamination> = BTreeMap::new();
        for (files, (model, tests)) in &self.trainings {
            let model = dag.graph.node_weight(*model).map_or("", |node| node.name.name.as_str());
            for digest in tests {
                let parts: Option<Vec<&Overlap>> = files.iter().map(|file| overlap.get(&(*file, *digest))).collect();
                let (Some(set), Some(parts)) = (sets.get(digest), parts) else {
                    continue;
                };
                let known = KnownQuestions::of(set, &parts);
                if known.rows == 0 {
                    continue;
                }
                let test = self.tests.get(digest).map(|(name, _)| name.clone()).unwrap_or_default();
                let new = Contamination {
                    test,
                    model: model.to_owned(),
                    more_models: 0,
                    known,
                };
                match found.get_mut(digest) {
                    None => drop(found.insert(*digest, new)),
                    Some(worst) => {
                        let more_models = worst.more_models + 1;
                        if new.known.questions > worst.known.questions {
                            *worst = new;
                        }
                        worst.more_models = more_models;
                    }
                }
            }
        }
        let mut all: Vec<Contamination> = found.into_values().collect();
        all.sort_by(|one, other| (&one.test, &one.model).cmp(&(&other.test, &other.model)));
        all
    }
}

/// What the models whose answers a stage judges are tested on.
fn tested(dag: &Dag, index: NodeIndex) -> Vec<Tested<'_>> {
    let Some(node) = dag.graph.node_weight(index).filter(|node| node.kind.name == MEASURE) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for asked in links(node, ANSWERS) {
        let Some(sample) = dag.graph.node_weight(asked.from) else {
            continue;
        };
        let mut models = links(sample, MODEL).iter();
        let Some(model) = models.next().filter(|_| !is_filtered(dag, asked.from)) else {
            continue;
        };
        let named = decontaminated(dag, model.from);
        let tests = links(sample, DATA).iter().chain(named);
        all.extend(tests.map(|test| Tested { model: model.from, test }));
    }
    all
}

/// Whether rows are made of the answers of a stage.
fn is_filtered(dag: &Dag, index: NodeIndex) -> bool {
    let mut users = dag.graph.neighbors(index);
    users.any(|user| dag.graph.node_weight(user).is_some_and(|node| node.kind.name == FILTER))
}

/// The data that a model and its bases were trained on.
fn training(dag: &Dag, model: NodeIndex) -> Vec<&Link> {
    let (mut all, mut open, mut seen) = (Vec::new(), vec![model], BTreeSet::from([model]));
    while let Some(index) = open.pop() {
        for (from, link) in dag.graph.node_weight(index).into_iter().flat_map(|node| learned(dag, node)) {
            match from {
                PortType::Dataset => all.push(link),
                PortType::Model if seen.insert(link.from) => open.push(link.from),
                _ => {}
            }
        }
    }
    all
}

/// The test sets that `decontaminate` names on the way to the training of a model.
fn decontaminated(dag: &Dag, model: NodeIndex) -> Vec<&Link> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open: Vec<NodeIndex> = training(dag, model).into_iter().map(|link| link.from).collect();
    while let Some(index) = open.pop() {
        let Some(node) = dag.graph.node_weight(index).filter(|_| seen.insert(index)) else {
            continue;
        };
        all.extend(links(node, DECONTAMINATE));
        let data = learned(dag, node).filter(|(port, _)| *port == PortType::Dataset);
        open.extend(data.map(|(_, link)| link.from));
    }
    all
}

/// The inputs of a stage that what it makes has content of, each with its type.
fn learned<'d>(dag: &'d Dag, node: &'d Node) -> impl Iterator<Item = (PortType, &'d Link)> {
    let left_out = |port: &str| UNLEARNED.contains(&port) || port == DECONTAMINATE;
    let inputs = node.inputs.iter().filter(move |(port, _)| !left_out(port));
    inputs.flat_map(|(_, links)| links).filter_map(|link| {
        let outputs = &dag.graph.node_weight(link.from)?.outputs;
        let output = outputs.iter().find(|output| output.name == link.port)?;
        Some((output.port, link))
    })
}

fn links<'d>(node: &'d Node, port: &str) -> &'d [Link] {
    node.inputs.get(port).map(Vec::as_slice).unwrap_or_default()
}

/// A link as an experiment writes it: `cases`, `parts.test`.
fn reference(dag: &Dag, link: &Link) -> String {
    dag.graph
        .node_weight(link.from)
        .map_or_else(String::new, |node| match node.outputs.len() {
            1 => node.name.name.clone(),
            _ => format!("{}.{}", node.name.name, link.port),
        })
}

impl std::fmt::Display for Contamination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            test,
            model,
            more_models,
            known,
        } = self;
        let KnownQuestions {
            questions,
            of_questions,
            rows,
            of_rows,
            example,
        } = known;
        let others = match more_models {
            0 => String::new(),
            1 => " (and one more model)".to_owned(),
            more => format!(" (and {more} more models)"),
        };
        write!(
            f,
            "{questions} of the {of_questions} questions of the test set `{test}` are among the {of_rows} rows that `{model}`{others} was \
             trained on, in {rows} of them: scores on it say too much."
        )?;
        if let Some(example) = example {
            write!(
                f,
                " The first is {:?}, row `{}` there and `{}` in the test.",
                shortened(&example.question, MAX_QUESTION),
                shortened(&example.training_row, MAX_QUESTION),
                shortened(&example.test_row, MAX_QUESTION)
            )?;
        }
        write!(f, " A `select` with `decontaminate = \"{test}\"` leaves such rows out")
    }
}

//! Reads the data of tables, figures and page from plan and store.

use std::path::PathBuf;

use petgraph::graph::NodeIndex;

mod answers;
mod deleted;
mod phase;
mod pictures;
mod samples;
mod scores;
mod stages;

pub use deleted::warning_of_deleted;
pub use pictures::count_pictures;
pub(crate) use scores::programs;
pub use scores::{MeasuredSet, ScoreDetails, data_sets, measured, read_metrics, scores};
pub use stages::stages;

use crate::figure::LossCurve;
use crate::page::{PageData, PageSamples};
use crate::scores::{KeptSkips, Scores, StagePlace};
use kinds::artifact;
use kinds::artifact::curve::TrainingPoint;
use kinds::metrics::{self as task_metrics, Outcome, names};
use lab::plan::Selection;
use lab::plan::{Node, Plan, PlanEntry, StageState};
use lab::stage::PortType;
use lab::store::{Store, StoreError};
use phase::Phases;
use samples::SampleChooser;

/// The data of the page: the selected stages and those that they need. Warnings are the report's.
///
/// # Errors
/// When the store is damaged.
pub fn page_data(plan: &Plan, store: &Store, selection: &Selection, scores: Scores, question: String) -> Result<PageData, StoreError> {
    let gatherer = Gatherer::new(plan, store, selection);
    Ok(PageData {
        question,
        warnings: Vec::new(),
        scores,
        stages: stages(plan, store)?,
        samples: gatherer.samples()?,
        pictures: gatherer.pictures()?,
    })
}

/// The number of rows that the selected filters kept, and metrics of the answers that they read.
///
/// # Errors
/// When the store is damaged.
pub fn kept(plan: &Plan, store: &Store, selection: &Selection) -> Result<Vec<KeptSkips>, StoreError> {
    Gatherer::new(plan, store, selection).kept()
}

/// The training curves of the selected models.
///
/// # Errors
/// When the store is damaged.
pub fn curves(plan: &Plan, store: &Store, selection: &Selection) -> Result<Vec<LossCurve>, StoreError> {
    Gatherer::new(plan, store, selection).curves()
}

/// The kind of stages that keep some answers.
const FILTER: &str = "filter";

/// Reads outputs of the stages of a plan.
struct Gatherer<'a> {
    plan: &'a Plan,
    store: &'a Store,
    selection: &'a Selection,
    phases: Phases,
}

impl<'a> Gatherer<'a> {
    fn new(plan: &'a Plan, store: &'a Store, selection: &'a Selection) -> Self {
        Self {
            plan,
            store,
            selection,
            phases: Phases::in_plan(plan),
        }
    }

    /// The stages in the store with an output of this type, and the path of each output; of one that gc deleted, that of what is left, if
    /// anything is.
    fn outputs(&self, port: PortType) -> impl Iterator<Item = (NodeIndex, &'a Node, PathBuf)> {
        let hits = self.plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
        hits.flat_map(move |(index, node, entry)| {
            let outputs = node.outputs.iter().filter(move |output| output.port == port);
            outputs
                .filter_map(|output| {
                    Some((
                        index,
                        node,
                        self.path(entry, &output.name).or_else(|| self.left(entry, &output.name))?,
                    ))
                })
                .collect::<Vec<_>>()
        })
    }

    /// The path of an output; `None` if gc deleted it.
    fn path(&self, entry: &PlanEntry, port: &str) -> Option<PathBuf> {
        let artifact = entry.outputs.get(port).filter(|_| !entry.deleted.contains(port))?;
        Some(self.store.object(&artifact.digest))
    }

    /// The folder with what is left of an output that gc deleted.
    fn left(&self, entry: &PlanEntry, port: &str) -> Option<PathBuf> {
        self.store.kept(&entry.outputs.get(port)?.digest)
    }

    /// The stage in each selected variant. A stage that others need has their variants.
    fn places(&self, index: NodeIndex, node: &Node) -> Vec<StagePlace> {
        let chosen = |member: &&lab::event::StageName| {
            let variants = Selection {
                stages: Vec::new(),
                variants: self.selection.variants.clone(),
            };
            variants.fits(member)
        };
        let members = node.members.iter().filter(chosen);
        members.map(|member| scores::stage_place(&self.phases, index, member)).collect()
    }

    /// For every filter in the store that compares steps, or whose answers were asked for with a number of them.
    fn kept(&self) -> Result<Vec<KeptSkips>, StoreError> {
        let mut all = Vec::new();
        for (index, node, path) in self.outputs(PortType::Dataset).filter(|(_, node, _)| node.kind.name == FILTER) {
            let mut outcomes: Vec<Outcome> = Vec::new();
            for link in node.inputs.values().flatten() {
                let entry = self.plan.entries.get(link.from.index());
                if let Some(answered) = entry.and_then(|entry| self.path(entry, &link.port)) {
                    answers::judge(&answered, node, |_, outcome| outcomes.push(outcome))?;
                }
            }
            let measured = task_metrics::measure(&outcomes);
            if !compares_steps(node) && measured.map(names::FOLLOWING).is_none() {
                continue;
            }
            let rows = artifact::data_set::count(&path).unwrap_or(0);
            all.extend(self.places(index, node).into_iter().map(|place| KeptSkips {
                place,
                rows,
                full_steps: measured.number(names::AVERAGE_FULL_STEPS),
                following: measured.map(names::FOLLOWING).cloned(),
            }));
        }
        Ok(all)
    }

    /// For every model in the store that a stage has trained.
    fn curves(&self) -> Result<Vec<LossCurve>, StoreError> {
        let mut all = Vec::new();
        for (index, node, folder) in self.outputs(PortType::Model) {
            let curve = artifact::curve::read(&folder).map_err(|error| StoreError::Damaged {
                path: folder.clone(),
                problem: format!("is not what `train` writes: {error}"),
            })?;
            let Some(points) = curve else { continue };
            let of = |loss: fn(&TrainingPoint) -> Option<f64>| -> Vec<(u64, f64)> {
                points.iter().filter_map(|point| Some((point.step, loss(point)?))).collect()
            };
            let (points, held_out) = (of(|point| point.loss), of(|point| point.validation_loss));
            all.extend(self.places(index, node).into_iter().map(|place| LossCurve {
                place,
                points: points.clone(),
                held_out: held_out.clone(),
            }));
        }
        Ok(all)
    }

    /// The first stage that filters the answers of another one.
    fn filter_of(&self, index: NodeIndex) -> Option<&'a Node> {
        let mut users: Vec<NodeIndex> = self.plan.dag.graph.neighbors(index).collect();
        users.sort_unstable();
        let mut users = users.into_iter().filter_map(|user| self.plan.dag.graph.node_weight(user));
        users.find(|user| user.kind.name == FILTER)
    }

    fn samples(&self) -> Result<PageSamples, StoreError> {
        let sets = self.sample_sets()?;
        let mut chooser = SampleChooser::new(sets.len());
        for SampleSet { stage, data, source } in sets {
            match source {
                SampleSource::Judged(path) => {
                    let mut candidates = chooser.candidates();
                    answers::read_judged(&path, |answer, outcome| candidates.add(answer, outcome))?;
                    chooser.choose(candidates, stage, &data);
                }
                SampleSource::Answers(path, judging) => {
                    let mut candidates = chooser.candidates();
                    answers::judge(&path, judging, |answer, outcome| candidates.add(answer, outcome))?;
                    chooser.choose(candidates, stage, &data);
                }
                SampleSource::Examples(folder, place) => {
                    let mut candidates = chooser.example_candidates();
                    artifact::metrics::each_example(&folder, place, &mut |example| candidates.add(example))
                        .map_err(|error| scores::damaged(&folder, &error))?;
                    chooser.choose_examples(candidates, stage, &data);
                }
            }
        }
        Ok(chooser.samples())
    }

    /// The answers and the examples in the store.
    fn sample_sets(&self) -> Result<Vec<SampleSet<'a>>, StoreError> {
        let mut sets = Vec::new();
        for (index, node, entry) in self.plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit) {
            for output in scores::metrics_outputs(node) {
                let Some(folder) = self.path(entry, &output.name) else { continue };
                let is_program = scores::is_program(node);
                let names = if is_program {
                    scores::program_names(node, output, &folder)?
                } else {
                    data_sets(&self.plan.dag, node)
                };
                let found = names.into_iter().enumerate().map(|(place, data)| SampleSet {
                    stage: index.index(),
                    data,
                    source: if is_program {
                        SampleSource::Examples(folder.clone(), place)
                    } else {
                        SampleSource::Judged(artifact::metrics::answers_path(&folder, place))
                    },
                });
                sets.extend(found.filter(SampleSet::is_there));
            }
        }
        // Those that a stage measured are there already.
        for (index, node, path) in self.outputs(PortType::Answers) {
            if let Some(judging) = self.filter_of(index) {
                sets.push(SampleSet {
                    stage: index.index(),
                    data: data_sets(&self.plan.dag, node).join(", "),
                    source: SampleSource::Answers(path, judging),
                });
            }
        }
        Ok(sets)
    }
}

/// Whether a filter keeps answers for their number of steps. At its default, the param is in no key.
fn compares_steps(node: &Node) -> bool {
    node.canonical.get("keep").is_none()
}

/// What was answered, or measured, in one stage on one data set.
struct SampleSet<'a> {
    /// The stage's number.
    stage: usize,
    data: String,
    source: SampleSource<'a>,
}

impl SampleSet<'_> {
    /// Whether there are samples: a program need not write examples.
    fn is_there(&self) -> bool {
        match &self.source {
            SampleSource::Judged(_) | SampleSource::Answers(..) => true,
            SampleSource::Examples(folder, place) => artifact::metrics::has_examples(folder, *place),
        }
    }
}

enum SampleSource<'a> {
    /// A file of answers that were judged.
    Judged(PathBuf),
    /// A file of answers, and the stage that judged them.
    Answers(PathBuf, &'a Node),
    /// The artifact of a program's metrics, and the place of a data set in it.
    Examples(PathBuf, usize),
}

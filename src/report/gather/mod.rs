//! Reads the data of tables, figures and page from plan and store.

use std::path::PathBuf;

use petgraph::graph::NodeIndex;

mod answers;
mod phase;
mod pictures;
mod samples;
mod scores;
mod stages;

pub use pictures::count_pictures;
pub use scores::{data_sets, metrics, scores};
pub use stages::stages;

use crate::figure::LossCurve;
use crate::page::{PageData, PageSamples};
use crate::scores::{KeptSkips, Scores, StagePlace};
use kinds::artifact;
use kinds::metrics::{self as task_metrics, Outcome, names};
use lab::plan::Selection;
use lab::plan::{Node, Plan, PlanEntry, StageState};
use lab::stage::PortType;
use lab::store::{Store, StoreError};
use phase::Phases;
use samples::SampleChooser;

/// The data of the page: the selected stages and those that they need.
///
/// # Errors
/// When the store is damaged.
pub fn page_data(plan: &Plan, store: &Store, selection: &Selection, scores: Scores, question: String) -> Result<PageData, StoreError> {
    let gatherer = Gatherer::new(plan, store, selection);
    Ok(PageData {
        question,
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

    /// The stages in the store with an output of this type, and the path of each output.
    fn outputs(&self, port: PortType) -> impl Iterator<Item = (NodeIndex, &'a Node, PathBuf)> {
        let hits = self.plan.stages().filter(|(_, _, entry)| entry.state == StageState::Hit);
        hits.flat_map(move |(index, node, entry)| {
            let outputs = node.outputs.iter().filter(move |output| output.port == port);
            outputs
                .filter_map(|output| Some((index, node, self.path(entry, &output.name)?)))
                .collect::<Vec<_>>()
        })
    }

    fn path(&self, entry: &PlanEntry, port: &str) -> Option<PathBuf> {
        Some(self.store.object(&entry.outputs.get(port)?.digest))
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

    /// For every filter in the store.
    fn kept(&self) -> Result<Vec<KeptSkips>, StoreError> {
        let mut all = Vec::new();
        for (index, node, path) in self.outputs(PortType::Dataset).filter(|(_, node, _)| node.kind.name == "filter") {
            let mut outcomes: Vec<Outcome> = Vec::new();
            for link in node.inputs.values().flatten() {
                let entry = self.plan.entries.get(link.from.index());
                if let Some(answered) = entry.and_then(|entry| self.path(entry, &link.port)) {
                    answers::read_judged(&answered, |_, outcome| outcomes.push(outcome))?;
                }
            }
            let measured = task_metrics::measure(&outcomes);
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
            let points: Vec<(u64, f64)> = points.iter().map(|point| (point.step, point.loss)).collect();
            all.extend(self.places(index, node).into_iter().map(|place| LossCurve {
                place,
                points: points.clone(),
            }));
        }
        Ok(all)
    }

    fn samples(&self) -> Result<PageSamples, StoreError> {
        let mut sets: Vec<(usize, String, PathBuf)> = Vec::new();
        for (index, node, folder) in self.outputs(PortType::Metrics) {
            let names = data_sets(&self.plan.dag, node).into_iter().enumerate();
            sets.extend(names.map(|(place, name)| (index.index(), name, artifact::metrics::answers_path(&folder, place))));
        }
        for (index, node, path) in self.outputs(PortType::Answers) {
            let name = data_sets(&self.plan.dag, node).join(", ");
            sets.push((index.index(), name, path));
        }
        let mut chooser = SampleChooser::new(sets.len());
        for (stage, data, path) in sets {
            let mut candidates = chooser.candidates();
            answers::read_judged(&path, |answer, outcome| candidates.add(answer, outcome))?;
            chooser.choose(candidates, stage, &data);
        }
        Ok(chooser.samples())
    }
}

//! What tables, figures and page are made of, from plan and store.

use std::path::PathBuf;

use petgraph::graph::NodeIndex;

pub mod answers;
pub mod collect;
mod phase;
mod samples;
pub mod stages;

use crate::Findings;
use crate::findings::{Curve, Kept, Samples};
use crate::scores::{Place, Scores};
use kinds::artifact;
use kinds::metrics::{self, Outcome, names};
use lab::plan::Selection;
use lab::plan::{Entry, Node, Plan, State};
use lab::stage::PortType;
use lab::store::{Store, StoreError};
use phase::Phases;
use samples::Chooser;

/// All that is known of the selected stages and what they need.
pub fn findings(plan: &Plan, store: &Store, selection: &Selection, scores: Scores, question: String) -> Result<Findings, StoreError> {
    Ok(Findings {
        question,
        scores,
        stages: stages::stages(plan, store)?,
        samples: Gathering::of(plan, store, selection).samples()?,
    })
}

/// What the selected filters kept, and how good the answers were that they were given.
pub fn kept(plan: &Plan, store: &Store, selection: &Selection) -> Result<Vec<Kept>, StoreError> {
    Gathering::of(plan, store, selection).kept()
}

/// How the losses of the selected models went.
pub fn curves(plan: &Plan, store: &Store, selection: &Selection) -> Result<Vec<Curve>, StoreError> {
    Gathering::of(plan, store, selection).curves()
}

struct Gathering<'a> {
    plan: &'a Plan,
    store: &'a Store,
    selection: &'a Selection,
    phases: Phases,
}

impl<'a> Gathering<'a> {
    fn of(plan: &'a Plan, store: &'a Store, selection: &'a Selection) -> Self {
        Self {
            plan,
            store,
            selection,
            phases: Phases::of(plan),
        }
    }

    /// The stages in the store that put out a `port`, and where each did.
    fn outputs(&self, port: PortType) -> impl Iterator<Item = (NodeIndex, &'a Node, PathBuf)> {
        let hits = self.plan.stages().filter(|(_, _, entry)| entry.state == State::Hit);
        hits.flat_map(move |(index, node, entry)| {
            let outputs = node.outputs.iter().filter(move |output| output.port == port);
            outputs
                .filter_map(|output| Some((index, node, self.path(entry, &output.name)?)))
                .collect::<Vec<_>>()
        })
    }

    fn path(&self, entry: &Entry, port: &str) -> Option<PathBuf> {
        Some(self.store.object(&entry.outputs.get(port)?.digest))
    }

    /// The stage in each selected variant; a stage that is only needed by others has the variants that they have.
    fn places(&self, index: NodeIndex, node: &Node) -> Vec<Place> {
        let chosen = |member: &&lab::event::StageName| {
            let variants = Selection {
                stages: Vec::new(),
                variants: self.selection.variants.clone(),
            };
            variants.fits(member)
        };
        let members = node.members.iter().filter(chosen);
        members.map(|member| collect::place(&self.phases, index, member)).collect()
    }

    /// Of every filter in the store.
    fn kept(&self) -> Result<Vec<Kept>, StoreError> {
        let mut all = Vec::new();
        for (index, node, path) in self.outputs(PortType::Dataset).filter(|(_, node, _)| node.kind.name == "filter") {
            let mut outcomes: Vec<Outcome> = Vec::new();
            for link in node.inputs.values().flatten() {
                let entry = self.plan.entries.get(link.from.index());
                if let Some(answered) = entry.and_then(|entry| self.path(entry, &link.port)) {
                    answers::read(&answered, |_, outcome| outcomes.push(outcome))?;
                }
            }
            let measured = metrics::measure(&outcomes);
            let rows = artifact::data_set::count(&path).unwrap_or(0);
            all.extend(self.places(index, node).into_iter().map(|place| Kept {
                place,
                rows,
                full_steps: measured.number(names::AVERAGE_FULL_STEPS),
                following: measured.map(names::FOLLOWING).cloned(),
            }));
        }
        Ok(all)
    }

    /// Of every model in the store that was trained here.
    fn curves(&self) -> Result<Vec<Curve>, StoreError> {
        let mut all = Vec::new();
        for (index, node, folder) in self.outputs(PortType::Model) {
            let curve = artifact::curve::read(&folder).map_err(|error| StoreError::Damaged {
                path: folder.clone(),
                problem: format!("is not what `train` writes: {error}"),
            })?;
            let Some(points) = curve else { continue };
            let points: Vec<(u64, f64)> = points.iter().map(|point| (point.step, point.loss)).collect();
            all.extend(self.places(index, node).into_iter().map(|place| Curve {
                place,
                points: points.clone(),
            }));
        }
        Ok(all)
    }

    fn samples(&self) -> Result<Samples, StoreError> {
        let mut sets: Vec<(usize, String, PathBuf)> = Vec::new();
        for (index, node, folder) in self.outputs(PortType::Metrics) {
            let names = collect::data_sets(&self.plan.dag, node).into_iter().enumerate();
            sets.extend(names.map(|(place, name)| (index.index(), name, artifact::metrics::answers_path(&folder, place))));
        }
        for (index, node, path) in self.outputs(PortType::Answers) {
            let name = collect::data_sets(&self.plan.dag, node).join(", ");
            sets.push((index.index(), name, path));
        }
        let mut chooser = Chooser::new(sets.len());
        for (stage, data, path) in sets {
            let mut candidates = chooser.candidates();
            answers::read(&path, |answer, outcome| candidates.add(answer, outcome))?;
            chooser.choose(candidates, stage, &data);
        }
        Ok(chooser.samples())
    }
}

//! Warns at the end of a run of test questions that a model was trained on.

use std::collections::BTreeMap;

use lab::event::{Event, Queue, Reporter, StageName};
use lab::hash::Digest;
use lab::plan::{Link, Plan};
use lab::store::Store;
use petgraph::graph::NodeIndex;
use report::contamination::contamination_of;

/// Passes events on, and looks before the last one whether the scores that were made in this run say too much. Scores that were in the store
/// already cost nothing; the report looks at these, too.
pub(super) struct ContaminationReporter<'a> {
    reporter: &'a mut dyn Reporter,
    plan: &'a Plan,
    store: &'a Store,
    nodes: BTreeMap<StageName, NodeIndex>,
    /// The outputs of the stages that were not in the store when the run was planned.
    outputs: BTreeMap<NodeIndex, BTreeMap<String, Digest>>,
    /// The stages that ran.
    ran: Vec<NodeIndex>,
}

impl<'a> ContaminationReporter<'a> {
    pub(super) fn new(reporter: &'a mut dyn Reporter, plan: &'a Plan, store: &'a Store) -> Self {
        Self {
            reporter,
            plan,
            store,
            nodes: plan.to_run().map(|(index, node, _)| (node.name.clone(), index)).collect(),
            outputs: BTreeMap::new(),
            ran: Vec::new(),
        }
    }

    fn warnings(&self) -> Vec<String> {
        let at = |link: &Link| {
            let known = self.outputs.get(&link.from).and_then(|outputs| outputs.get(link.port.as_ref()));
            known.copied().or_else(|| self.plan.artifact(link).map(|artifact| artifact.digest))
        };
        let ran = self.ran.iter().copied().collect();
        let found = contamination_of(&self.plan.dag, self.store, &ran, &at);
        found.iter().map(ToString::to_string).collect()
    }

    /// Takes note of the outputs of a stage that were not known when the run was planned.
    fn found(&mut self, stage: &StageName, key: &Digest) {
        let Some(index) = self.nodes.get(stage) else { return };
        if let Ok(Some(outputs)) = self.store.outputs(key) {
            let outputs = outputs.into_iter().map(|(port, artifact)| (port, artifact.digest));
            self.outputs.insert(*index, outputs.collect());
        }
    }

    fn made(&mut self, stage: &StageName, outputs: &BTreeMap<String, Digest>) {
        if let Some(index) = self.nodes.get(stage) {
            self.ran.push(*index);
            self.outputs.insert(*index, outputs.clone());
        }
    }
}

impl Reporter for ContaminationReporter<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { stage, outputs, .. } => self.made(stage, outputs),
            Event::Cached { stage, key } => self.found(stage, key),
            Event::Summary { .. } => {
                for message in self.warnings() {
                    self.reporter.event(&Event::Warned { message });
                }
            }
            _ => {}
        }
        self.reporter.event(event);
    }

    fn tick(&mut self) {
        self.reporter.tick();
    }

    fn look(&mut self, queue: &Queue) {
        self.reporter.look(queue);
    }
}

//! A plan for tests: stages that two seeds share and stages of each seed, in every state.

use std::borrow::Cow;
use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};
use serde_json::Value;

use crate::stage_details::{StageDetails, StageStatus};
use lab::event::StageName;
use lab::fingerprint::{FingerprintChange, Reason};
use lab::hash::Digest;
use lab::plan::{Dag, Forecast, Link, Node, Plan, PlanEntry, Range, StageState};
use lab::stage::{Kind, Stage, StageContext, StageError};
use lab::store::{Artifact, Outputs};

/// The digest of the metrics in the store.
pub fn metrics() -> Digest {
    Digest::of(b"metrics")
}

/// A stage that has run, with nothing but its number and its name.
pub fn stage_details(id: usize, name: &str) -> StageDetails {
    StageDetails {
        id,
        name: name.to_owned(),
        variant: BTreeMap::new(),
        base: name.to_owned(),
        index: None,
        kind: "command",
        state: StageStatus::Ran,
        key: None,
        reason: None,
        params: Value::Null,
        seed: None,
        numerics: None,
        inputs: Vec::new(),
        outputs: Vec::new(),
        ran: None,
    }
}

/// Six stages of two seeds: the first seed's score is in the store, the second one's model has to be trained again.
pub fn plan() -> Plan {
    let mut builder = ExampleBuilder {
        graph: DiGraph::new(),
        entries: Vec::new(),
    };
    let problems = builder.stage(
        "problems",
        &["1", "2"],
        "generate",
        &[],
        hit(&[("train", b"t"), ("in_domain", b"i"), ("ood_easy", b"o")]),
    );
    for (seed, there) in [("1", true), ("2", false)] {
        let entry = if there { hit(&[("model", b"m")]) } else { changed() };
        let model = builder.stage("standard[0]", &[seed], "train", &[("data", problems, "train")], entry);
        let inputs = [
            ("data", problems, "in_domain"),
            ("data", problems, "ood_easy"),
            ("model", model, "model"),
        ];
        let entry = if there { hit(&[("metrics", b"metrics")]) } else { unknown() };
        builder.stage("score[0]", &[seed], "eval", &inputs, entry);
    }
    builder.stage(
        "extra",
        &["1", "2"],
        "generate",
        &[],
        PlanEntry {
            reason: Some(Reason::NeverRun),
            forecast: None,
            ..changed()
        },
    );
    let order = builder.graph.node_indices().collect();
    let dag = Dag {
        experiment: "addition".into(),
        axes: Vec::new(),
        graph: builder.graph,
    };
    Plan {
        dag,
        order,
        entries: builder.entries,
    }
}

struct ExampleBuilder {
    graph: DiGraph<Node, ()>,
    entries: Vec<PlanEntry>,
}

impl ExampleBuilder {
    fn stage(&mut self, name: &str, seeds: &[&str], kind: &str, inputs: &[(&str, NodeIndex, &'static str)], entry: PlanEntry) -> NodeIndex {
        let member = |seed: &&str| StageName {
            name: name.into(),
            variant: [("seed".to_owned(), (*seed).to_owned())].into(),
        };
        let members: Vec<StageName> = seeds.iter().map(member).collect();
        let shared = StageName {
            name: name.into(),
            variant: BTreeMap::new(),
        };
        let mut links: BTreeMap<String, Vec<Link>> = BTreeMap::new();
        for (port, from, output) in inputs {
            links.entry((*port).to_owned()).or_default().push(Link {
                from: *from,
                port: Cow::Borrowed(output),
            });
        }
        let known = kinds::kinds()
            .iter()
            .copied()
            .find(|known: &&'static Kind| known.name == kind)
            .unwrap();
        let node = self.graph.add_node(Node {
            part: false,
            name: if members.len() == 1 { members[0].clone() } else { shared },
            base: lab::config::base_name(name).to_owned(),
            index: None,
            members,
            kind: known,
            canonical: ExampleStage.params().into(),
            numerics: ExampleStage.numerics(),
            outputs: known.outputs.to_vec(),
            stage: Box::new(ExampleStage),
            seed: None,
            resources: lab::config::Resources::default(),
            inputs: links,
            keep: std::collections::BTreeSet::new(),
        });
        for (_, from, _) in inputs {
            self.graph.update_edge(*from, node, ());
        }
        self.entries.push(entry);
        node
    }
}

fn hit(outputs: &[(&str, &[u8])]) -> PlanEntry {
    let artifact = |content: &[u8]| Artifact::file(Digest::of(content), 1);
    let outputs: Outputs = outputs
        .iter()
        .map(|(port, content)| ((*port).to_owned(), artifact(content)))
        .collect();
    PlanEntry {
        state: StageState::Hit,
        key: Some(Digest::of(b"key")),
        reason: None,
        outputs,
        is_here: true,
        is_accepted: false,
        deleted: std::collections::BTreeSet::new(),
        again: None,
        forecast: None,
    }
}

/// The forecast of a stage that takes so many seconds or a little more or less.
fn takes(seconds: f64) -> Option<Forecast> {
    let range = |likely: f64| Range {
        low: likely / 2.0,
        likely,
        high: likely * 2.0,
    };
    Some(Forecast {
        seconds: range(seconds),
        bytes: range(1000.0),
    })
}

fn changed() -> PlanEntry {
    let change = FingerprintChange::Param {
        name: "learning_rate".into(),
        before: 1e-3.into(),
        now: 2e-3.into(),
    };
    let (state, key, reason) = (StageState::Run, Some(Digest::of(b"other key")), Some(Reason::Changed(vec![change])));
    PlanEntry {
        state,
        key,
        reason,
        outputs: Outputs::new(),
        is_here: false,
        is_accepted: false,
        deleted: std::collections::BTreeSet::new(),
        again: None,
        forecast: takes(41.24),
    }
}

fn unknown() -> PlanEntry {
    PlanEntry {
        state: StageState::Unknown,
        key: None,
        reason: None,
        outputs: Outputs::new(),
        is_here: false,
        is_accepted: false,
        deleted: std::collections::BTreeSet::new(),
        again: None,
        forecast: takes(3.0),
    }
}

/// A stage that does nothing.
struct ExampleStage;

impl Stage for ExampleStage {
    fn params(&self) -> Value {
        Value::Null
    }

    fn draws(&self) -> bool {
        false
    }

    fn run(&self, _: &StageContext<'_>) -> Result<(), StageError> {
        Ok(())
    }
}

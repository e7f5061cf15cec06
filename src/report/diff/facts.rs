//! The facts about a stage, collected from values, digests and metrics.

use std::collections::BTreeMap;

use kinds::metrics::MetricMap;
use lab::hash::Digest;
use lab::json_path;
use serde_json::{Value, json};

/// The facts known about one stage, by name.
pub type StageFacts = BTreeMap<FactName, Value>;

/// The name of one fact about a stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FactName {
    pub kind: FactKind,
    /// `learning_rate`, `data`, `in_domain accuracy`.
    pub name: String,
}

/// The subject of a fact, in the order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FactKind {
    Kind,
    Param,
    Seed,
    Numbers,
    Input,
    Output,
    Metric,
}

impl FactKind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Param => "param",
            Self::Seed => "seed",
            Self::Numbers => "numbers",
            Self::Input => "input",
            Self::Output => "output",
            Self::Metric => "metric",
        }
    }
}

/// Adds the leaves of `value`, each under its path.
pub(super) fn add_value(facts: &mut StageFacts, kind: FactKind, name: &str, value: &Value) {
    json_path::leaves(name, value, &mut |path, leaf| {
        let name = path.to_owned();
        facts.insert(FactName { kind, name }, leaf.clone());
    });
}

/// Adds the metrics of a data set, those within maps and lists too, but for the groups of answers of `eval`, which do not fit into a row.
pub(super) fn add_metrics(facts: &mut StageFacts, data: &str, metrics: &MetricMap) {
    for (name, value) in metrics.flattened() {
        add_value(facts, FactKind::Metric, format!("{data} {name}").trim_start(), &json!(value));
    }
}

/// Adds the short forms of digests.
pub(super) fn add_digests(facts: &mut StageFacts, kind: FactKind, port: &str, digests: &[Option<Digest>]) {
    let digests: Vec<String> = digests
        .iter()
        .map(|digest| digest.map_or_else(|| "not there yet".to_owned(), |digest| digest.short()))
        .collect();
    add_value(facts, kind, port, &Value::from(digests.join(" ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_lists_are_facts_and_names_differ() {
        // A text, since `json!` sorts names.
        let metrics = r#"{"folds": [{"f1": 0.5}, {"f1": 0.7}], "a.b": 1, "a": {"b": 2}, "loss": "NaN", "by_full_steps": [{"answers": 3}]}"#;
        let metrics: MetricMap = serde_json::from_str(metrics).unwrap();
        let mut facts = StageFacts::new();
        add_metrics(&mut facts, "dev", &metrics);
        let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{} = {value}", name.name)).collect();
        assert_eq!(
            lines,
            [
                "dev a.b = 1",
                "dev a.b#2 = 2",
                "dev folds.0.f1 = 0.5",
                "dev folds.1.f1 = 0.7",
                "dev loss = \"NaN\""
            ]
        );
    }
}

//! Two sides compared, stage by stage. Equal facts are counted, the others are shown side by side.

mod experiment_side;
mod facts;
mod run_side;
mod side;
mod text;

use serde_json::{Value, json};

use lab::event::StageName;

pub use facts::{FactKind, FactName, StageFacts};
pub use side::DiffSide;

/// The comparison of two sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    pub names: [String; 2],
    pub stages: Vec<StageDiff>,
}

/// Both sides of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDiff {
    pub stage: StageName,
    /// Which sides have the stage.
    pub present: [bool; 2],
    pub rows: Vec<FactDiff>,
}

/// One fact about a stage on both sides; `None` for a side without it.
#[derive(Clone, Debug, PartialEq)]
pub struct FactDiff {
    pub fact: FactName,
    pub values: [Option<Value>; 2],
}

impl FactDiff {
    pub fn is_equal(&self) -> bool {
        self.values[0] == self.values[1]
    }
}

impl StageDiff {
    /// The number of facts that are equal on both sides.
    pub fn count_equal(&self) -> usize {
        self.rows.iter().filter(|row| row.is_equal()).count()
    }

    /// Whether both sides have the stage with equal facts.
    pub fn is_equal(&self) -> bool {
        self.present == [true, true] && self.rows.iter().all(FactDiff::is_equal)
    }
}

impl Diff {
    /// Compares stages of equal name and variant, in the order of the first side. Stages of the second side alone are last.
    pub fn between(sides: [&DiffSide; 2]) -> Self {
        let [left, right] = sides;
        let find = |side: &DiffSide, name: &StageName| side.stages.iter().find(|(other, _)| other == name).map(|(_, facts)| facts.clone());
        let both = left
            .stages
            .iter()
            .map(|(name, facts)| stage_diff(name, [Some(facts.clone()), find(right, name)]));
        let rest = right.stages.iter().filter(|(name, _)| find(left, name).is_none());
        let rest = rest.map(|(name, facts)| stage_diff(name, [None, Some(facts.clone())]));
        Self {
            names: [left.name.clone(), right.name.clone()],
            stages: both.chain(rest).collect(),
        }
    }

    /// `{"a", "b", "stages": [{"stage", "variant", "in", "equal", "rows": [{"about", "name", "a", "b"}]}]}`; equal rows are counted, and
    /// listed with `all`.
    pub fn json(&self, all: bool) -> Value {
        let row = |row: &FactDiff| {
            let [a, b] = &row.values;
            json!({"about": row.fact.kind.as_str(), "name": row.fact.name, "a": a, "b": b})
        };
        let stage = |stage: &StageDiff| {
            let place = match stage.present {
                [true, true] => "both",
                [true, false] => "a",
                _ => "b",
            };
            let rows = stage.rows.iter().filter(|row| all || !row.is_equal());
            json!({
                "stage": stage.stage.name,
                "variant": stage.stage.variant,
                "in": place,
                "equal": stage.count_equal(),
                "rows": rows.map(row).collect::<Vec<_>>(),
            })
        };
        let [a, b] = &self.names;
        json!({"a": a, "b": b, "stages": self.stages.iter().map(stage).collect::<Vec<_>>()})
    }
}

fn stage_diff(name: &StageName, sides: [Option<StageFacts>; 2]) -> StageDiff {
    let present = [0, 1].map(|i| sides[i].is_some());
    let [mut left, mut right] = sides.map(Option::unwrap_or_default);
    let mut facts: Vec<FactName> = left.keys().chain(right.keys()).cloned().collect();
    facts.sort();
    facts.dedup();
    let row = |fact: FactName| FactDiff {
        values: [left.remove(&fact), right.remove(&fact)],
        fact,
    };
    StageDiff {
        stage: name.clone(),
        present,
        rows: facts.into_iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use lab::text::Paint;

    fn stage(name: &str, rate: f64, accuracy: f64) -> (StageName, StageFacts) {
        let name = StageName {
            name: name.to_owned(),
            variant: BTreeMap::new(),
        };
        let fact = |kind, name: &str, value: Value| {
            (
                FactName {
                    kind,
                    name: name.to_owned(),
                },
                value,
            )
        };
        let facts = [
            fact(FactKind::Kind, "", "train".into()),
            fact(FactKind::Param, "learning_rate", rate.into()),
            fact(FactKind::Param, "model.width", 64.into()),
            fact(FactKind::Metric, "in_domain accuracy", accuracy.into()),
        ];
        (name, facts.into())
    }

    fn example() -> Diff {
        let left = DiffSide {
            name: "a.toml".to_owned(),
            stages: vec![stage("same", 0.1, 0.5), stage("other", 0.003, 0.5), stage("gone", 0.1, 0.5)],
        };
        let mut right = DiffSide {
            name: "b.toml".to_owned(),
            stages: vec![stage("new", 0.1, 0.5), stage("other", 0.002, 0.75), stage("same", 0.1, 0.5)],
        };
        right.stages[1].1.insert(
            FactName {
                kind: FactKind::Seed,
                name: String::new(),
            },
            1.into(),
        );
        Diff::between([&left, &right])
    }

    #[test]
    fn what_differs_stands_side_by_side() {
        insta::assert_snapshot!(example().text(false, Paint::default()), @r"
        A  a.toml
        B  b.toml

        other
                                      A      B
          param   learning_rate       0.003  0.002
          seed                        –      1
          metric  in_domain accuracy  0.5    0.75
          2 equal

        equal: same

        only in A: gone

        only in B: new
        ");
    }

    #[test]
    fn equal_rows_are_shown_on_request() {
        let text = example().text(true, Paint::default());
        assert!(text.contains("model.width"), "{text}");
    }

    #[test]
    fn json_counts_equal_rows() {
        insta::assert_json_snapshot!(example().json(false)["stages"][1]);
    }
}

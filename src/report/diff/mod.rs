//! Two sides compared, stage by stage: what is the same is counted, what differs is shown side by side.

mod text;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use lab::event::StageName;

/// What is known of an experiment, a variant or a run.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// As it was asked for.
    pub name: String,
    /// In the order of the plan.
    pub stages: Vec<(StageName, Facts)>,
}

/// What is known of a stage.
pub type Facts = BTreeMap<Fact, Value>;

/// The name of one thing that is known of a stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub about: About,
    /// `learning_rate`, `data`, `in_domain accuracy`.
    pub name: String,
}

/// What a fact is about, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    Kind,
    Param,
    Seed,
    Numbers,
    Input,
    Output,
    Metric,
}

/// Both sides of all stages.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    pub names: [String; 2],
    pub stages: Vec<Compared>,
}

/// Both sides of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub stage: StageName,
    /// Which sides have it.
    pub there: [bool; 2],
    pub rows: Vec<Row>,
}

/// One fact of a stage on both sides; nothing where a side has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub fact: Fact,
    pub values: [Option<Value>; 2],
}

impl Row {
    pub fn is_equal(&self) -> bool {
        self.values[0] == self.values[1]
    }
}

impl Compared {
    /// Facts that are the same on both sides.
    pub fn equal(&self) -> usize {
        self.rows.iter().filter(|row| row.is_equal()).count()
    }

    /// Whether both sides have it, and all is the same.
    pub fn is_equal(&self) -> bool {
        self.there == [true, true] && self.rows.iter().all(Row::is_equal)
    }
}

impl About {
    fn word(self) -> &'static str {
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

impl Diff {
    /// Compares stages of equal name and variant; the first side's order, then what only the second has.
    pub fn of(sides: [&Side; 2]) -> Self {
        let [left, right] = sides;
        let find = |side: &Side, name: &StageName| side.stages.iter().find(|(other, _)| other == name).map(|(_, facts)| facts.clone());
        let both = left
            .stages
            .iter()
            .map(|(name, facts)| compared(name, [Some(facts.clone()), find(right, name)]));
        let rest = right.stages.iter().filter(|(name, _)| find(left, name).is_none());
        let rest = rest.map(|(name, facts)| compared(name, [None, Some(facts.clone())]));
        Self {
            names: [left.name.clone(), right.name.clone()],
            stages: both.chain(rest).collect(),
        }
    }

    /// `{"a", "b", "stages": [{"stage", "variant", "in", "equal", "rows": [{"about", "name", "a", "b"}]}]}`; equal rows are counted, and
    /// listed if `all` are wanted.
    pub fn json(&self, all: bool) -> Value {
        let row = |row: &Row| {
            let [a, b] = &row.values;
            json!({"about": row.fact.about.word(), "name": row.fact.name, "a": a, "b": b})
        };
        let stage = |stage: &Compared| {
            let place = match stage.there {
                [true, true] => "both",
                [true, false] => "a",
                _ => "b",
            };
            let rows = stage.rows.iter().filter(|row| all || !row.is_equal());
            json!({
                "stage": stage.stage.name,
                "variant": stage.stage.variant,
                "in": place,
                "equal": stage.equal(),
                "rows": rows.map(row).collect::<Vec<_>>(),
            })
        };
        let [a, b] = &self.names;
        json!({"a": a, "b": b, "stages": self.stages.iter().map(stage).collect::<Vec<_>>()})
    }
}

fn compared(name: &StageName, sides: [Option<Facts>; 2]) -> Compared {
    let there = [0, 1].map(|i| sides[i].is_some());
    let [mut left, mut right] = sides.map(Option::unwrap_or_default);
    let mut facts: Vec<Fact> = left.keys().chain(right.keys()).cloned().collect();
    facts.sort();
    facts.dedup();
    let row = |fact: Fact| Row {
        values: [left.remove(&fact), right.remove(&fact)],
        fact,
    };
    Compared {
        stage: name.clone(),
        there,
        rows: facts.into_iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::text::Paint;

    fn stage(name: &str, rate: f64, accuracy: f64) -> (StageName, Facts) {
        let name = StageName {
            name: name.to_owned(),
            variant: BTreeMap::new(),
        };
        let fact = |about, name: &str, value: Value| {
            (
                Fact {
                    about,
                    name: name.to_owned(),
                },
                value,
            )
        };
        let facts = [
            fact(About::Kind, "", "train".into()),
            fact(About::Param, "learning_rate", rate.into()),
            fact(About::Param, "model.width", 64.into()),
            fact(About::Metric, "in_domain accuracy", accuracy.into()),
        ];
        (name, facts.into())
    }

    fn example() -> Diff {
        let left = Side {
            name: "a.toml".to_owned(),
            stages: vec![stage("same", 0.1, 0.5), stage("other", 0.003, 0.5), stage("gone", 0.1, 0.5)],
        };
        let mut right = Side {
            name: "b.toml".to_owned(),
            stages: vec![stage("new", 0.1, 0.5), stage("other", 0.002, 0.75), stage("same", 0.1, 0.5)],
        };
        right.stages[1].1.insert(
            Fact {
                about: About::Seed,
                name: String::new(),
            },
            1.into(),
        );
        Diff::of([&left, &right])
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

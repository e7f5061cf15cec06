//! The scores of an experiment: one per variant, evaluation and data set; as JSON, as CSV, and as a table of means.

mod csv;
mod mean;
mod means;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use mean::Mean;

/// The axis over whose values the table takes means; every other axis separates its rows.
const SEED: &str = "seed";

/// All scores of an experiment, those to come included.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    pub experiment: String,
    /// In the order of the experiment's stages.
    pub scores: Vec<Score>,
}

/// What one evaluation said of one data set, in one variant.
#[derive(Clone, Debug)]
pub struct Score {
    /// The evaluation's name: `score[2]`.
    pub stage: String,
    /// The coordinates of the variant.
    pub variant: BTreeMap<String, String>,
    /// The index in the stage's name.
    pub iteration: Option<i64>,
    /// The name of the data set.
    pub data: String,
    /// Variants that share one evaluation have its number here; it counts once in a mean.
    pub source: usize,
    /// By name; nothing if the evaluation is not in the store.
    pub metrics: Option<Map<String, Value>>,
}

impl Score {
    /// A metric that is a number.
    fn number(&self, metric: &str) -> Option<f64> {
        self.metrics.as_ref()?.get(metric)?.as_f64()
    }

    fn is_finished(&self) -> bool {
        self.metrics.is_some()
    }

    /// The coordinates that separate rows of the table.
    fn group(&self) -> BTreeMap<&str, &str> {
        self.variant
            .iter()
            .filter(|(axis, _)| *axis != SEED)
            .map(|(axis, value)| (axis.as_str(), value.as_str()))
            .collect()
    }
}

impl Scores {
    /// `{"experiment", "rows": [{"stage", "variant", "iteration", "data", "metrics"}], "unfinished": [{"stage", "variant", "data"}]}`.
    pub fn json(&self) -> Value {
        let row = |score: &Score| {
            json!({
                "stage": score.stage,
                "variant": score.variant,
                "iteration": score.iteration,
                "data": score.data,
                "metrics": score.metrics,
            })
        };
        let unfinished = |score: &Score| json!({"stage": score.stage, "variant": score.variant, "data": score.data});
        json!({
            "experiment": self.experiment,
            "rows": self.scores.iter().filter(|score| score.is_finished()).map(row).collect::<Vec<_>>(),
            "unfinished": self.scores.iter().filter(|score| !score.is_finished()).map(unfinished).collect::<Vec<_>>(),
        })
    }

    /// How many evaluations there are, and how many of them are not in the store.
    pub fn evaluations(&self) -> (usize, usize) {
        let finished: BTreeMap<usize, bool> = self.scores.iter().map(|score| (score.source, score.is_finished())).collect();
        (finished.len(), finished.values().filter(|finished| !**finished).count())
    }

    /// The axes of the matrix.
    fn axes(&self) -> Vec<&str> {
        let mut axes: Vec<&str> = self
            .scores
            .iter()
            .flat_map(|score| score.variant.keys())
            .map(String::as_str)
            .collect();
        axes.sort_unstable();
        axes.dedup();
        axes
    }
}

/// The distinct items, in the order of their first appearance.
fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two iterations by two starts by three seeds, two data sets; the cold start's last iteration has still to run for seed 3,
    /// and the cold `score[0]` is one evaluation, shared by the seeds.
    pub(crate) fn example() -> Scores {
        let mut scores = Vec::new();
        for (start, lift) in [("cold", 0.0), ("warm", 0.004)] {
            for seed in 1..=3_u32 {
                for k in 0..2_u32 {
                    let unfinished = start == "cold" && seed == 3 && k == 1;
                    let shared = start == "cold" && k == 0;
                    let drift = if shared { 0.0 } else { f64::from(seed) / 1000.0 };
                    for (data, accuracy) in [("in_domain", 0.98), ("ood_easy", 0.1)] {
                        let metrics = json!({
                            "accuracy": accuracy + lift + drift,
                            "average_steps": 2.6 - f64::from(k) * 0.8 + drift,
                            "average_full_steps": 2.61,
                        });
                        scores.push(Score {
                            stage: format!("score[{k}]"),
                            variant: [("start", start.to_owned()), ("seed", seed.to_string())]
                                .map(|(a, v)| (a.to_owned(), v))
                                .into(),
                            iteration: Some(i64::from(k)),
                            data: data.to_owned(),
                            source: if shared { 0 } else { 1 + scores.len() / 2 },
                            metrics: metrics.as_object().filter(|_| !unfinished).cloned(),
                        });
                    }
                }
            }
        }
        Scores {
            experiment: "addition".into(),
            scores,
        }
    }

    #[test]
    fn json_has_a_row_for_every_finished_score() {
        let json = example().json();
        assert_eq!(json["rows"].as_array().unwrap().len(), 22);
        insta::assert_json_snapshot!(json["rows"][21], @r#"
        {
          "data": "ood_easy",
          "iteration": 1,
          "metrics": {
            "accuracy": 0.10700000000000001,
            "average_full_steps": 2.61,
            "average_steps": 1.803
          },
          "stage": "score[1]",
          "variant": {
            "seed": "3",
            "start": "warm"
          }
        }
        "#);
        insta::assert_json_snapshot!(json["unfinished"], @r#"
        [
          {
            "data": "in_domain",
            "stage": "score[1]",
            "variant": {
              "seed": "3",
              "start": "cold"
            }
          },
          {
            "data": "ood_easy",
            "stage": "score[1]",
            "variant": {
              "seed": "3",
              "start": "cold"
            }
          }
        ]
        "#);
    }

    #[test]
    fn shared_evaluations_are_counted_once() {
        assert_eq!(example().evaluations(), (10, 1));
    }
}

//! The scores of an experiment: one per variant, evaluation and data set; as JSON, as CSV, and as the tables of the paper.

mod bootstrap;
mod csv;
mod differences;
mod following;
mod kept;
mod lead;
mod mean;
mod place;
mod results;
mod rows;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Value, json};

pub use bootstrap::{AnswerPair, Interval, RESAMPLES, confidence_intervals};
pub use differences::{Baseline, Difference, InvalidBaseline, NoBaseline};
pub use following::skips_table;
pub use kept::KeptSkips;
pub use mean::Mean;
pub use place::{StagePlace, VariantGroup};

pub(crate) use differences::{interval_end, signed};
pub(crate) use place::{SEED, group_text};
pub(crate) use rows::ScoreRow;

use kinds::artifact::metrics::{Example, Series};
use kinds::metrics::{MetricMap, Outcome, names};
use lab::hash::Digest;

/// All scores of an experiment, finished or not.
#[derive(Clone, Debug, Default)]
pub struct Scores {
    pub experiment: String,
    /// The axes of the matrix in the order of the file; empty where it is not known.
    pub axes: Vec<String>,
    /// In the order of the experiment's stages.
    pub scores: Vec<Score>,
}

/// The metrics of one evaluation on one data set in one variant.
#[derive(Clone, Debug)]
pub struct Score {
    /// The evaluation.
    pub place: StagePlace,
    /// The name of the data set.
    pub data: String,
    /// By name; `None` if the evaluation is not in the store.
    pub metrics: Option<MetricMap>,
    /// The answers behind the metrics, if they were requested.
    pub answers: Rc<[JudgedAnswer]>,
    /// The examples behind the metrics of a program, if they were requested and there are any.
    pub examples: Rc<[Example]>,
    /// The metrics of a program by step, if they were requested and there are any.
    pub series: Rc<[Series]>,
}

/// The judgement of an answer, and the problem that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgedAnswer {
    /// The digest of the problem's id and question.
    pub problem: Digest,
    pub outcome: Outcome,
}

impl Score {
    /// A metric that is a number. A point in its name separates the parts of a path: `fewer.share`.
    pub(crate) fn number(&self, metric: &str) -> Option<f64> {
        self.metrics.as_ref()?.number(metric)
    }

    /// How a numbered model followed the requested number of steps.
    fn following(&self) -> Option<&MetricMap> {
        self.metrics.as_ref()?.map(names::FOLLOWING)
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.metrics.is_some()
    }
}

impl Scores {
    /// `{"experiment", "rows": [{"stage", "variant", "iteration", "data", "metrics"}], "unfinished": [{"stage", "variant", "data"}]}`.
    pub fn json(&self) -> Value {
        let row = |score: &Score| {
            json!({
                "stage": score.place.stage,
                "variant": score.place.variant,
                "iteration": score.place.iteration,
                "data": score.data,
                "metrics": score.metrics,
            })
        };
        let unfinished = |score: &Score| json!({"stage": score.place.stage, "variant": score.place.variant, "data": score.data});
        json!({
            "experiment": self.experiment,
            "rows": self.scores.iter().filter(|score| score.is_finished()).map(row).collect::<Vec<_>>(),
            "unfinished": self.scores.iter().filter(|score| !score.is_finished()).map(unfinished).collect::<Vec<_>>(),
        })
    }

    /// The number of evaluations, and the number of those that are not in the store.
    pub fn count_evaluations(&self) -> (usize, usize) {
        let finished: BTreeMap<usize, bool> = self.scores.iter().map(|score| (score.place.node, score.is_finished())).collect();
        (finished.len(), finished.values().filter(|finished| !**finished).count())
    }

    /// The number of evaluations that have not run, if there are any.
    pub fn note(&self) -> Option<String> {
        let (all, missing) = self.count_evaluations();
        (missing > 0).then(|| format!("{missing} of {} with scores missing", lab::text::stages(all)))
    }

    /// The axes of the matrix in the order of the file; by name where it is not known.
    pub(crate) fn axes(&self) -> Vec<&str> {
        let variants = self.scores.iter().flat_map(|score| score.place.variant.keys());
        let mut axes: Vec<&str> = variants.map(String::as_str).collect();
        axes.sort_unstable();
        axes.dedup();
        axes.sort_by_key(|axis| self.axes.iter().position(|known| known == axis).unwrap_or(usize::MAX));
        axes
    }

    /// The values of an axis in the order of the file; where it is not known, numbers ascend, and others are as they come.
    pub(crate) fn values(&self, axis: &str) -> Vec<&str> {
        let values = self.scores.iter().filter_map(|score| score.place.variant.get(axis));
        let mut values = distinct(values.map(String::as_str));
        let numbers: Option<Vec<f64>> = values.iter().map(|value| value.parse().ok()).collect();
        if self.axes.is_empty() && numbers.is_some() {
            values.sort_by(|a, b| f64::total_cmp(&a.parse().unwrap_or(0.0), &b.parse().unwrap_or(0.0)));
        }
        values
    }
}

/// The distinct items, in the order of their first appearance.
pub(crate) fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
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
    use kinds::metrics::Verdict;

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
                            place: StagePlace {
                                stage: format!("score[{k}]"),
                                variant: [("start", start.to_owned()), ("seed", seed.to_string())]
                                    .map(|(a, v)| (a.to_owned(), v))
                                    .into(),
                                iteration: Some(i64::from(k)),
                                phase: if k == 0 {
                                    format!("{start} start")
                                } else {
                                    format!("iteration {k}")
                                },
                                node: if shared { 0 } else { 1 + scores.len() / 2 },
                            },
                            data: data.to_owned(),
                            metrics: serde_json::from_value(metrics).ok().filter(|_| !unfinished),
                            answers: if unfinished {
                                Rc::default()
                            } else {
                                answers(k, seed, accuracy + lift)
                            },
                            examples: Rc::default(),
                            series: Rc::default(),
                        });
                    }
                }
            }
        }
        Scores {
            experiment: "addition".into(),
            axes: Vec::new(),
            scores,
        }
    }

    /// Answers to 40 problems, in iteration 1 a step shorter.
    fn answers(k: u32, seed: u32, accuracy: f64) -> Rc<[JudgedAnswer]> {
        let answer = |i: u32| JudgedAnswer {
            problem: Digest::of(&i.to_le_bytes()),
            outcome: Outcome {
                steps: 3 - k,
                full_steps: 3,
                requested: None,
                verdict: if f64::from((i * 7 + seed + k) % 40) < accuracy * 40.0 {
                    Verdict::Right
                } else {
                    Verdict::Wrong
                },
                valid: Some(true),
                complete: true,
                tokens: 10,
            },
        };
        (0..40).map(answer).collect()
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
    fn axes_and_values_have_the_order_of_the_file_where_it_is_known() {
        let mut scores = example();
        assert_eq!(scores.axes(), ["seed", "start"]);
        for (at, score) in scores.scores.iter_mut().enumerate() {
            score.place.variant.insert("width".to_owned(), ["16", "4"][at % 2].to_owned());
        }
        assert_eq!(
            (scores.values("width"), scores.values("start")),
            (vec!["4", "16"], vec!["cold", "warm"])
        );
        scores.axes = ["width", "start", "seed"].map(str::to_owned).to_vec();
        assert_eq!(scores.axes(), ["width", "start", "seed"]);
        assert_eq!(scores.values("width"), ["16", "4"]);
    }

    #[test]
    fn shared_evaluations_are_counted_once() {
        assert_eq!(example().count_evaluations(), (10, 1));
    }
}

//! The metrics of answers: accuracy, steps, and how well a numbered model follows the requested number of steps.

mod agreement;
mod map;
pub mod names;
mod numbers;
mod reading;
mod repeats;
mod select;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use agreement::{LabelledVerdict, agreement};
pub use map::MetricMap;
pub use reading::{SolutionReading, before_closing, read_solution, steps};
pub use repeats::{Repeats, add as add_repeats, standard_error};
pub use value::{MetricValue, NotFinite};

pub(crate) use map::told_apart;
pub(crate) use value::ValueReader;

/// One answer, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Number of steps that the model wrote.
    pub steps: u32,
    /// Number of steps of the full solution.
    pub full_steps: u32,
    /// Number of steps that the prompt requested; `None` if it names no number.
    pub requested: Option<u32>,
    pub verdict: Verdict,
    /// Whether the answer has steps, and each follows from what comes before it; `None` for a task that cannot tell.
    pub valid: Option<bool>,
    /// Whether the answer contains `Thus, the answer is`.
    pub complete: bool,
    /// Number of tokens that the model wrote.
    pub tokens: u32,
}

/// What an answer was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The final answer is correct.
    Right,
    Wrong,
    /// There is no final answer: none was found, or the response was cut before it.
    NoAnswer,
    /// Whoever judges gave no verdict that could be read.
    Unscored,
}

impl Outcome {
    /// Whether the final answer is correct.
    pub fn right(&self) -> bool {
        self.verdict == Verdict::Right
    }

    /// Whether it has the requested number of steps.
    pub fn is_consistent(&self) -> bool {
        self.requested == Some(self.steps)
    }

    /// docs/method.md, 3 (b): correct, with the requested number of steps, which is below the full solution's.
    pub fn is_kept(&self) -> bool {
        self.right() && self.is_consistent() && self.steps < self.full_steps
    }
}

/// All that is measured on the answers to one data set. Shares and accuracies are in `[0, 1]`; a mean over no answers is null.
pub fn measure(outcomes: &[Outcome]) -> MetricMap {
    let all = || outcomes.iter();
    let correct = || all().filter(|o| o.right());
    let (fewer, same, more) = (
        |o: &Outcome| o.steps < o.full_steps,
        |o: &Outcome| o.steps == o.full_steps,
        |o: &Outcome| o.steps > o.full_steps,
    );
    MetricMap::from([
        (names::ANSWERS, (outcomes.len() as u64).into()),
        (names::ACCURACY, share(all(), Outcome::right).into()),
        (names::VALID, share_valid(all()).into()),
        (names::VALID_RIGHT, share_valid(correct()).into()),
        (names::AVERAGE_STEPS, mean(all(), |o| o.steps).into()),
        (names::AVERAGE_STEPS_RIGHT, mean(correct(), |o| o.steps).into()),
        (names::AVERAGE_FULL_STEPS, mean(all(), |o| o.full_steps).into()),
        (names::FEWER_SHARE, share(all(), fewer).into()),
        (names::FEWER_ACCURACY, share(all().filter(|o| fewer(o)), Outcome::right).into()),
        (names::SAME_SHARE, share(all(), same).into()),
        (names::SAME_ACCURACY, share(all().filter(|o| same(o)), Outcome::right).into()),
        (names::MORE_SHARE, share(all(), more).into()),
        (names::MORE_ACCURACY, share(all().filter(|o| more(o)), Outcome::right).into()),
        (names::INCOMPLETE, share(all(), |o| !o.complete).into()),
        (names::NO_ANSWER, share(all(), |o| o.verdict == Verdict::NoAnswer).into()),
        (names::UNSCORED, share(all(), |o| o.verdict == Verdict::Unscored).into()),
        (names::AVERAGE_TOKENS, mean(all(), |o| o.tokens).into()),
        (names::BY_FULL_STEPS, by_full_steps(outcomes).into()),
        (names::FOLLOWING, following(outcomes).into()),
    ])
}

/// The answers grouped by the number of steps of the full solution.
fn by_full_steps(outcomes: &[Outcome]) -> Vec<MetricMap> {
    let mut groups: BTreeMap<u32, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(outcome.full_steps).or_default().push(outcome);
    }
    let measured = groups.into_iter().map(|(full_steps, group)| {
        let all = || group.iter().copied();
        MetricMap::from([
            (names::FULL_STEPS, u64::from(full_steps).into()),
            (names::ANSWERS, (group.len() as u64).into()),
            (names::ACCURACY, share(all(), Outcome::right).into()),
            (names::VALID_RIGHT, share_valid(all().filter(|o| o.right())).into()),
            (names::AVERAGE_STEPS, mean(all(), |o| o.steps).into()),
        ])
    });
    measured.collect()
}

/// How well the model follows the requested number of steps; `None` if no prompt names one.
fn following(outcomes: &[Outcome]) -> Option<MetricMap> {
    let requests: Vec<&Outcome> = outcomes.iter().filter(|o| o.requested.is_some()).collect();
    let all = || requests.iter().copied();
    let is_skip = |o: &Outcome| o.requested.is_some_and(|steps| steps < o.full_steps);
    let skips = || all().filter(|o| is_skip(o));
    let consistent = || all().filter(|o| o.is_consistent());
    (!requests.is_empty()).then(|| {
        MetricMap::from([
            (names::REQUESTS, (requests.len() as u64).into()),
            (names::REAL_SKIPS, (skips().count() as u64).into()),
            (names::CONSISTENCY, share(all(), Outcome::is_consistent).into()),
            (names::CONSISTENCY_REAL_SKIPS, share(skips(), Outcome::is_consistent).into()),
            (names::ACCURACY_CONSISTENT, share(consistent(), Outcome::right).into()),
            (names::AVERAGE_STEPS, mean(all(), |o| o.steps).into()),
            (names::BY_SKIP, by_skip(&requests).into()),
        ])
    })
}

/// The requests grouped by the number of steps that they leave out.
fn by_skip(requests: &[&Outcome]) -> Vec<MetricMap> {
    let mut groups: BTreeMap<i64, Vec<&Outcome>> = BTreeMap::new();
    for outcome in requests {
        let skip = outcome.requested.map(|steps| i64::from(outcome.full_steps) - i64::from(steps));
        groups.entry(skip.unwrap_or_default()).or_default().push(outcome);
    }
    let counted = groups.into_iter().map(|(skip, group)| {
        let count = |holds: fn(&Outcome) -> bool| group.iter().filter(|outcome| holds(outcome)).count() as u64;
        MetricMap::from([
            (names::SKIP, skip.into()),
            (names::REQUESTS, (group.len() as u64).into()),
            (names::CONSISTENT, count(Outcome::is_consistent).into()),
            (names::RIGHT, count(Outcome::right).into()),
            (names::KEPT, count(Outcome::is_kept).into()),
            (names::KEPT_VALID, count(|o| o.is_kept() && o.valid == Some(true)).into()),
        ])
    });
    counted.collect()
}

/// The share of `outcomes` for which `holds` is true; `None` over no outcomes.
fn share<'a>(outcomes: impl Iterator<Item = &'a Outcome>, holds: impl Fn(&Outcome) -> bool) -> Option<f64> {
    mean(outcomes, |o| u32::from(holds(o)))
}

/// The share with valid steps, among those of which that is known.
fn share_valid<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Option<f64> {
    share(outcomes.filter(|o| o.valid.is_some()), |o| o.valid == Some(true))
}

/// The mean of `value` over `outcomes`; `None` over no outcomes. The sum is of integers, so that the order does not matter.
fn mean<'a>(outcomes: impl Iterator<Item = &'a Outcome>, value: impl Fn(&Outcome) -> u32) -> Option<f64> {
    let (sum, count) = outcomes.fold((0u64, 0u64), |(sum, count), outcome| (sum + u64::from(value(outcome)), count + 1));
    (count > 0).then(|| sum as f64 / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(full_steps: u32, requested: Option<u32>, steps: u32, right: bool) -> Outcome {
        Outcome {
            steps,
            full_steps,
            requested,
            verdict: if right { Verdict::Right } else { Verdict::Wrong },
            valid: Some(right && steps != 2),
            complete: true,
            tokens: 10 * steps,
        }
    }

    #[test]
    fn a_standard_model_is_measured_by_hand() {
        let cut = Outcome {
            complete: false,
            ..outcome(2, None, 3, false)
        };
        let measured = measure(&[
            outcome(3, None, 2, true),
            outcome(3, None, 3, true),
            outcome(3, None, 1, false),
            cut,
        ]);
        insta::assert_json_snapshot!(measured, @r#"
        {
          "answers": 4,
          "accuracy": 0.5,
          "valid": 0.25,
          "valid_right": 0.5,
          "average_steps": 2.25,
          "average_steps_right": 2.5,
          "average_full_steps": 2.75,
          "fewer": {
            "share": 0.5,
            "accuracy": 0.5
          },
          "same": {
            "share": 0.25,
            "accuracy": 1.0
          },
          "more": {
            "share": 0.25,
            "accuracy": 0.0
          },
          "incomplete": 0.25,
          "no_answer": 0.0,
          "unscored": 0.0,
          "average_tokens": 22.5,
          "by_full_steps": [
            {
              "full_steps": 2,
              "answers": 1,
              "accuracy": 0.0,
              "valid_right": null,
              "average_steps": 3.0
            },
            {
              "full_steps": 3,
              "answers": 3,
              "accuracy": 0.6666666666666666,
              "valid_right": 0.5,
              "average_steps": 2.0
            }
          ],
          "following": null
        }
        "#);
    }

    #[test]
    fn a_numbered_model_is_measured_by_hand() {
        let measured = measure(&[
            outcome(3, Some(2), 2, true),
            outcome(3, Some(1), 1, false),
            outcome(3, Some(1), 2, true),
            // Not a skip: the full solution has one step, so the request cannot be lower.
            outcome(1, Some(1), 1, true),
        ]);
        insta::assert_json_snapshot!(measured.map(names::FOLLOWING), @r#"
        {
          "requests": 4,
          "real_skips": 3,
          "consistency": 0.75,
          "consistency_real_skips": 0.6666666666666666,
          "accuracy_consistent": 0.6666666666666666,
          "average_steps": 1.5,
          "by_skip": [
            {
              "skip": 0,
              "requests": 1,
              "consistent": 1,
              "right": 1,
              "kept": 0,
              "kept_valid": 0
            },
            {
              "skip": 1,
              "requests": 1,
              "consistent": 1,
              "right": 1,
              "kept": 1,
              "kept_valid": 0
            },
            {
              "skip": 2,
              "requests": 2,
              "consistent": 1,
              "right": 1,
              "kept": 0,
              "kept_valid": 0
            }
          ]
        }
        "#);
    }

    #[test]
    fn nothing_has_no_mean() {
        let measured = measure(&[]);
        assert_eq!(measured.integer(names::ANSWERS), Some(0));
        assert_eq!(
            (measured.number(names::ACCURACY), measured.number(names::AVERAGE_STEPS)),
            (None, None)
        );
        assert!(measured.list(names::BY_FULL_STEPS).is_empty() && measured.map(names::FOLLOWING).is_none());
    }
}

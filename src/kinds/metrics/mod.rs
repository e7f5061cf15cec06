//! What is measured on answers: accuracy, steps, and how well a numbered model follows the number asked for.

mod reading;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use reading::{Reading, read, steps};

/// One answer, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Steps that the model wrote.
    pub steps: u32,
    /// Steps of the full solution.
    pub full_steps: u32,
    /// Steps that the prompt asked for, where it named a number.
    pub requested: Option<u32>,
    /// Whether the final answer is right.
    pub right: bool,
    /// Whether there are steps, and each follows from what stands before it.
    pub valid: bool,
    /// Whether the model came to `Thus, the answer is`.
    pub complete: bool,
    /// Tokens that the model wrote.
    pub tokens: u32,
}

impl Outcome {
    /// Whether it has the number of steps asked for.
    pub fn is_consistent(&self) -> bool {
        self.requested == Some(self.steps)
    }

    /// METHOD, 3 (b): right, with the number of steps asked for, and that fewer than the full solution's.
    pub fn is_kept(&self) -> bool {
        self.right && self.is_consistent() && self.steps < self.full_steps
    }
}

/// The content of `metrics.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// One for each data set, in the order of the references.
    pub sets: Vec<SetMetrics>,
}

/// What is measured on the answers to one data set. Shares and accuracies are in `[0, 1]`; a mean over nothing is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetMetrics {
    /// Number of answers.
    pub answers: u64,
    /// Share of right answers.
    pub accuracy: Option<f64>,
    /// Share of answers whose steps are all valid: each follows from what stands before it.
    pub valid: Option<f64>,
    /// The same among the right answers: the others are right by luck, or by leaving out what is wrong.
    pub valid_right: Option<f64>,
    /// Mean number of steps, over all answers.
    pub average_steps: Option<f64>,
    /// Mean number of steps, over the right answers.
    pub average_steps_right: Option<f64>,
    /// Mean number of steps of the full solutions.
    pub average_full_steps: Option<f64>,
    /// Answers with fewer steps than the full solution.
    pub fewer: Portion,
    /// Answers with as many steps as the full solution.
    pub same: Portion,
    /// Answers with more steps than the full solution.
    pub more: Portion,
    /// Share of answers that never came to `Thus, the answer is`.
    pub incomplete: Option<f64>,
    /// Mean number of generated tokens.
    pub average_tokens: Option<f64>,
    /// The same by the number of steps of the full solution, ascending.
    pub by_full_steps: Vec<ByFullSteps>,
    /// For numbered prompts.
    pub following: Option<Following>,
}

/// A part of the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Portion {
    /// Of all answers.
    pub share: Option<f64>,
    /// Of this part.
    pub accuracy: Option<f64>,
}

/// The answers to the problems whose full solution has a certain number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByFullSteps {
    pub full_steps: u32,
    pub answers: u64,
    pub accuracy: Option<f64>,
    pub valid_right: Option<f64>,
    pub average_steps: Option<f64>,
}

/// How well a numbered model takes the number of steps that it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Following {
    /// Number of answers to prompts that name a number of steps.
    pub requests: u64,
    /// How many of them ask for fewer steps than the full solution has.
    pub real_skips: u64,
    /// Share of answers with as many steps as asked for (consistent answers).
    pub consistency: Option<f64>,
    /// The same over the real skips.
    pub consistency_real_skips: Option<f64>,
    /// Share of the consistent answers that are right.
    pub accuracy_consistent: Option<f64>,
    /// Mean number of steps, over these answers.
    pub average_steps: Option<f64>,
    /// What became of the requests, by how many steps they leave out, ascending.
    pub by_skip: Vec<BySkip>,
}

/// The answers to requests that leave out a certain number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BySkip {
    /// Steps of the full solution, less those asked for.
    pub skip: i64,
    pub requests: u64,
    /// How many answers have as many steps as asked for.
    pub consistent: u64,
    /// How many answers are right.
    pub right: u64,
    /// How many answers are skips that `filter` keeps: right, consistent, and shorter than the full solution. Equal ones count each.
    pub kept: u64,
    /// How many of the kept ones have valid steps alone.
    pub kept_valid: u64,
}

/// All that is measured on the answers to one data set.
pub fn measure(outcomes: &[Outcome]) -> SetMetrics {
    let all = || outcomes.iter();
    SetMetrics {
        answers: outcomes.len() as u64,
        accuracy: share(all(), |o| o.right),
        valid: share(all(), |o| o.valid),
        valid_right: share(all().filter(|o| o.right), |o| o.valid),
        average_steps: mean(all(), |o| o.steps),
        average_steps_right: mean(all().filter(|o| o.right), |o| o.steps),
        average_full_steps: mean(all(), |o| o.full_steps),
        fewer: portion(outcomes, |o| o.steps < o.full_steps),
        same: portion(outcomes, |o| o.steps == o.full_steps),
        more: portion(outcomes, |o| o.steps > o.full_steps),
        incomplete: share(all(), |o| !o.complete),
        average_tokens: mean(all(), |o| o.tokens),
        by_full_steps: by_full_steps(outcomes),
        following: following(outcomes),
    }
}

fn by_full_steps(outcomes: &[Outcome]) -> Vec<ByFullSteps> {
    let mut groups: BTreeMap<u32, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(outcome.full_steps).or_default().push(outcome);
    }
    let measured = groups.into_iter().map(|(full_steps, group)| ByFullSteps {
        full_steps,
        answers: group.len() as u64,
        accuracy: share(group.iter().copied(), |o| o.right),
        valid_right: share(group.iter().copied().filter(|o| o.right), |o| o.valid),
        average_steps: mean(group.iter().copied(), |o| o.steps),
    });
    measured.collect()
}

fn following(outcomes: &[Outcome]) -> Option<Following> {
    let requests: Vec<&Outcome> = outcomes.iter().filter(|o| o.requested.is_some()).collect();
    let all = || requests.iter().copied();
    let is_skip = |o: &Outcome| o.requested.is_some_and(|steps| steps < o.full_steps);
    (!requests.is_empty()).then(|| Following {
        requests: requests.len() as u64,
        real_skips: all().filter(|o| is_skip(o)).count() as u64,
        consistency: share(all(), Outcome::is_consistent),
        consistency_real_skips: share(all().filter(|o| is_skip(o)), Outcome::is_consistent),
        accuracy_consistent: share(all().filter(|o| o.is_consistent()), |o| o.right),
        average_steps: mean(all(), |o| o.steps),
        by_skip: by_skip(&requests),
    })
}

fn by_skip(requests: &[&Outcome]) -> Vec<BySkip> {
    let mut groups: BTreeMap<i64, Vec<&Outcome>> = BTreeMap::new();
    for outcome in requests {
        let skip = outcome.requested.map(|steps| i64::from(outcome.full_steps) - i64::from(steps));
        groups.entry(skip.unwrap_or_default()).or_default().push(outcome);
    }
    let counted = groups.into_iter().map(|(skip, group)| {
        let count = |holds: fn(&Outcome) -> bool| group.iter().filter(|outcome| holds(outcome)).count() as u64;
        BySkip {
            skip,
            requests: group.len() as u64,
            consistent: count(Outcome::is_consistent),
            right: count(|o| o.right),
            kept: count(Outcome::is_kept),
            kept_valid: count(|o| o.is_kept() && o.valid),
        }
    });
    counted.collect()
}

fn portion(outcomes: &[Outcome], belongs: fn(&Outcome) -> bool) -> Portion {
    Portion {
        share: share(outcomes.iter(), belongs),
        accuracy: share(outcomes.iter().filter(|o| belongs(o)), |o| o.right),
    }
}

/// The share of `outcomes` that `holds`, or nothing where there are none.
fn share<'a>(outcomes: impl Iterator<Item = &'a Outcome>, holds: impl Fn(&Outcome) -> bool) -> Option<f64> {
    mean(outcomes, |o| u32::from(holds(o)))
}

/// The mean of `value` over `outcomes`, or nothing where there are none. Summed in whole numbers: the order does not matter.
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
            right,
            valid: right && steps != 2,
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
        insta::assert_json_snapshot!(measured.following, @r#"
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
        assert_eq!((measured.answers, measured.accuracy, measured.average_steps), (0, None, None));
        assert_eq!((measured.by_full_steps, measured.following), (vec![], None));
    }
}

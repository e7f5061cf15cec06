//! What several answers to one question tell: pass@k, majorities, and how far a mean may be off.

use std::collections::BTreeMap;

use super::{MetricMap, names};

/// The judged answers to one question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Repeats {
    /// Whether each is right.
    pub right: Vec<bool>,
    /// The final answer of each, as it was read; `None` where there is none.
    pub answers: Vec<Option<String>>,
}

/// Adds the metrics of questions with several answers each, and the standard error of the accuracy.
pub fn add(measured: &mut MetricMap, questions: &[Repeats]) {
    let values = |question: &Repeats| {
        question
            .right
            .iter()
            .map(|right| if *right { 1.0 } else { 0.0 })
            .collect::<Vec<f64>>()
    };
    measured.insert(
        names::ACCURACY_STDERR,
        standard_error(&questions.iter().map(values).collect::<Vec<_>>()),
    );
    if let Some(repeats) = measure(questions) {
        measured.insert(names::REPEATS, repeats);
    }
}

/// The metrics of questions with several answers each; `None` where all have one.
fn measure(questions: &[Repeats]) -> Option<MetricMap> {
    let most = questions
        .iter()
        .map(|question| question.right.len())
        .max()
        .filter(|most| *most > 1)?;
    let mut measured = vec![(names::SAMPLES.to_owned(), (most as u64).into())];
    let average = mean(questions.iter().filter_map(Repeats::average));
    measured.push((format!("pass@1[avg-of-{most}]"), average.into()));
    for k in ks(most) {
        let passes = questions.iter().filter_map(|question| question.pass_at(k));
        measured.push((format!("pass@{k}"), mean(passes).into()));
    }
    let majorities = questions
        .iter()
        .map(|question| if question.majority() == Some(true) { 1.0 } else { 0.0 });
    measured.push((format!("majority@{most}"), mean(majorities).into()));
    Some(measured.into_iter().collect())
}

/// 2, 4, 8 … below `most`, and `most`.
fn ks(most: usize) -> Vec<usize> {
    let mut ks: Vec<usize> = std::iter::successors(Some(2), |k| Some(k * 2)).take_while(|k| *k < most).collect();
    ks.push(most);
    ks
}

impl Repeats {
    fn average(&self) -> Option<f64> {
        let right = self.right.iter().filter(|right| **right).count();
        (!self.right.is_empty()).then(|| right as f64 / self.right.len() as f64)
    }

    /// The probability that of `k` of the answers at least one is right, without bias (Chen et al. 2021, "Evaluating Large Language Models
    /// Trained on Code"); `None` for fewer than `k` answers.
    fn pass_at(&self, k: usize) -> Option<f64> {
        let (all, right) = (self.right.len(), self.right.iter().filter(|right| **right).count());
        if all < k {
            return None;
        }
        if all - right < k {
            return Some(1.0);
        }
        let none = (all - right + 1..=all).map(|i| 1.0 - k as f64 / i as f64).product::<f64>();
        Some(1.0 - none)
    }

    /// Whether the answer that was given most often is right; of those given equally often, the one that came first. `None` where there
    /// is no answer.
    fn majority(&self) -> Option<bool> {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (place, answer) in self.answers.iter().enumerate() {
            if let Some(answer) = answer {
                counts.entry(answer).or_insert((0, place)).0 += 1;
            }
        }
        let best = counts
            .into_values()
            .max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first)))?;
        self.right.get(best.1).copied()
    }
}

/// The standard error of the mean of all values, which come in groups that are not independent: the answers to one question. With one value
/// in each group it is the deviation divided by the root of their number. `None` for fewer than two groups. (Miller 2024, "Adding Error
/// Bars to Evals", with the usual factor for few groups.)
pub fn standard_error(groups: &[Vec<f64>]) -> Option<f64> {
    let groups: Vec<&Vec<f64>> = groups.iter().filter(|group| !group.is_empty()).collect();
    let count: usize = groups.iter().map(|group| group.len()).sum();
    if groups.len() < 2 {
        return None;
    }
    let mean = groups.iter().flat_map(|group| group.iter()).sum::<f64>() / count as f64;
    let off = |group: &&Vec<f64>| group.iter().map(|value| value - mean).sum::<f64>().powi(2);
    let sum: f64 = groups.iter().map(off).sum();
    let few = groups.len() as f64 / (groups.len() - 1) as f64;
    Some((sum * few).sqrt() / count as f64)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(right: &[bool], answers: &[&str]) -> Repeats {
        Repeats {
            right: right.to_vec(),
            answers: answers
                .iter()
                .map(|answer| (*answer != "-").then(|| (*answer).to_owned()))
                .collect(),
        }
    }

    /// `1 - comb(n - c, k) / comb(n, k)` of Python's `math`.
    #[test]
    fn pass_at_k_has_no_bias() {
        let right = |all: usize, right: usize| question(&(0..all).map(|i| i < right).collect::<Vec<_>>(), &[]);
        for (all, correct, k, expected) in [
            (8, 3, 1, 0.375),
            (8, 3, 4, 0.928_571_428_571_428_6),
            (8, 0, 8, 0.0),
            (8, 8, 2, 1.0),
            (10, 1, 5, 0.5),
            (200, 7, 100, 0.992_991_117_241_812_3),
        ] {
            let found = right(all, correct).pass_at(k).unwrap();
            assert!((found - expected).abs() < 1e-12, "{all} {correct} {k}: {found}");
        }
        assert_eq!(right(3, 1).pass_at(4), None);
    }

    #[test]
    fn a_majority_leaves_out_what_is_no_answer_and_the_first_wins_a_tie() {
        assert_eq!(question(&[false, true, true], &["1", "2", "2"]).majority(), Some(true));
        assert_eq!(question(&[false, true], &["1", "2"]).majority(), Some(false));
        assert_eq!(question(&[false, false, true], &["-", "-", "2"]).majority(), Some(true));
        assert_eq!(question(&[false, false], &["-", "-"]).majority(), None);
    }

    #[test]
    fn questions_with_several_answers_are_measured() {
        let questions = [
            question(&[true, false, true, true], &["1", "2", "1", "1"]),
            question(&[false, false, true, false], &["3", "4", "5", "3"]),
        ];
        insta::assert_json_snapshot!(measure(&questions).unwrap(), @r#"
        {
          "samples": 4,
          "pass@1[avg-of-4]": 0.5,
          "pass@2": 0.75,
          "pass@4": 1.0,
          "majority@4": 0.5
        }
        "#);
        assert_eq!(measure(&[question(&[true], &["1"])]), None);
        assert_eq!(measure(&[]), None);
    }

    /// numpy: `np.std([1, 0, 1, 1], ddof=1) / 2`; and for the groups, the formula written out there.
    #[test]
    fn the_standard_error_knows_groups() {
        let alone = [1.0, 0.0, 1.0, 1.0].map(|value| vec![value]);
        assert!((standard_error(&alone).unwrap() - 0.25).abs() < 1e-12);
        let groups = [vec![1.0, 1.0], vec![0.0, 0.0], vec![1.0, 0.0]];
        assert!((standard_error(&groups).unwrap() - 0.288_675_134_594_812_9).abs() < 1e-12);
        assert_eq!(standard_error(&[vec![1.0, 0.0]]), None);
    }
}
